"use strict";
// The server renders everything; what has changed is taken over from a fresh page.
let busy = false;

async function refresh() {
  if (busy || document.hidden) return;
  busy = true;
  try {
    const response = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" } });
    if (!response.ok) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const old = document.getElementById(part.id);
      if (old && old.innerHTML !== part.innerHTML) old.innerHTML = part.innerHTML;
    }
  } catch {
    // The gateway is being restarted; the next change comes with it.
  } finally {
    busy = false;
  }
}

new EventSource("/changes").onmessage = refresh;
