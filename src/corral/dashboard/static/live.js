// Live numbers: one stream for a page that is looked at, none for one that is not.
import { counts, rows } from "./numbers.js";

const RETRY_MS = 5000;

export function live() {
  const root = document.body.dataset.root ?? "";
  const topics = document.body.dataset.topics;
  const button = document.querySelector("[data-live]");
  if (!topics || !button || !window.EventSource) return;
  const word = button.querySelector("span");
  let source = null;
  let failures = 0;
  let timer = 0;
  let lostAt = 0;
  let paused = false;
  let begun = false;

  function show(state, text) {
    button.dataset.state = state;
    word.textContent = text;
  }

  function open() {
    clearTimeout(timer);
    if (paused || document.hidden || source) return;
    source = new EventSource(`${root}/api/v1/events?topics=${encodeURIComponent(topics)}`);
    source.addEventListener("hello", (event) => {
      const missed = begun && JSON.parse(event.data).resume === false;
      begun = true;
      failures = 0;
      lostAt = 0;
      show("live", "live");
      if (missed) document.dispatchEvent(new CustomEvent("corral:stale"));
    });
    source.addEventListener("counts", (event) => counts(JSON.parse(event.data)));
    for (const kind of ["rates", "worker", "schedule", "attention"]) {
      source.addEventListener(kind, (event) => rows(kind, JSON.parse(event.data)));
    }
    source.addEventListener("jobs", () => document.dispatchEvent(new CustomEvent("corral:jobs")));
    source.addEventListener("job", () => document.dispatchEvent(new CustomEvent("corral:job")));
    source.addEventListener("bye", again);
    source.onerror = again;
  }

  function again() {
    close();
    failures += 1;
    lostAt ||= Date.now();
    if (failures < 3) show("lost", "reconnecting");
    else show("lost", `disconnected ${Math.round((Date.now() - lostAt) / 1000)} s`);
    timer = setTimeout(open, Math.min(RETRY_MS, 500 * 2 ** failures));
  }

  function close() {
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      show("paused", "paused");
    } else open();
  });
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    if (paused) {
      close();
      clearTimeout(timer);
      show("paused", "paused");
    } else open();
  });
  addEventListener("pagehide", close);
  show("polling", "connecting");
  open();
}
