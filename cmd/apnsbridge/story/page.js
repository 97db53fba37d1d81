"use strict";
// The server renders everything; what has changed is taken over from a fresh page.
let busy = false, stale = false;

async function refresh() {
  if (busy) { stale = true; return; }
  busy = true;
  try {
    const response = await fetch("./", { cache: "no-store" }).catch(() => null);
    if (!response?.ok) return;
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
  const body = new URLSearchParams(new FormData(form, event.submitter));
  await fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => null);
  refresh();
});

let ended = null;
const changes = new EventSource("changes");
changes.onmessage = () => {
  ended?.remove();
  ended = null;
  refresh();
};
changes.onerror = () => {
  if (ended) return;
  ended = document.createElement("p");
  ended.className = "problem";
  ended.setAttribute("role", "alert");
  ended.textContent = "The demo does not answer: start it again, with the same --page.";
  document.querySelector("header").append(ended);
};
