"use strict";
// The server renders everything; what has changed is taken over from a fresh page.
let busy = false, stale = false;

async function refresh() {
  if (busy) { stale = true; return; }
  busy = true;
  try {
    const response = await fetch("./", { cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const old = document.getElementById(part.id);
      if (old.innerHTML !== part.innerHTML) old.innerHTML = part.innerHTML;
    }
  } finally {
    busy = false;
    if (stale) { stale = false; refresh(); }
  }
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form, event.submitter)), redirect: "manual" });
  refresh();
});

new EventSource("changes").onmessage = refresh;
