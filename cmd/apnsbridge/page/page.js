"use strict";
// The server renders everything; what has changed is taken over from a fresh page.
let busy = false, lost = null;

// lose says that what stands here is old, and why.
function lose(why) {
  if (!lost) {
    lost = document.createElement("p");
    lost.className = "lost";
    lost.setAttribute("role", "alert");
    document.body.prepend(lost);
    lost.since = new Date().toISOString().replace("T", " ").slice(0, 19) + " UTC";
  }
  lost.textContent = `Since ${lost.since} ${why}: what stands here is from then.`;
}

function find() {
  lost?.remove();
  lost = null;
}

async function refresh() {
  if (busy || document.hidden) return;
  busy = true;
  try {
    const response = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" } });
    const text = await response.text();
    if (!response.ok) return lose("the gateway answers " + (text.trim().slice(0, 200) || response.status));
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const old = document.getElementById(part.id);
      if (old && old.innerHTML !== part.innerHTML) old.innerHTML = part.innerHTML;
    }
    find();
  } catch {
    lose("the gateway does not answer");
  } finally {
    busy = false;
  }
}

// A browser connects again by itself, but not where it had an answer that is none.
function listen() {
  const changes = new EventSource("/changes");
  changes.onmessage = refresh;
  changes.onerror = () => {
    lose("the gateway does not answer");
    if (changes.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  };
}

listen();
