// Live numbers: one stream for a page that is looked at, none for one that is not. Where no stream lasts, the page is asked.
import { counts, rows } from "./numbers.js";
import { outage } from "./outage.js";

const RETRY_MS = 5000;
const POLL_MS = 5000;
// So many times a stream may break off before the page is asked instead.
const TRIES = 3;

export function live() {
  const root = document.body.dataset.root ?? "";
  const topics = document.body.dataset.topics;
  const button = document.querySelector("[data-live]");
  if (!topics || !button || !window.EventSource) return;
  const word = button.querySelector("span");
  let source = null;
  let failures = 0;
  let timer = 0;
  let asking = 0;
  let lostAt = 0;
  let paused = false;
  let begun = false;
  let instance = "";

  function show(state, text) {
    button.dataset.state = state;
    button.title = state === "lost" ? "Try again now" : "Pause or go on";
    if (word.textContent !== text) word.textContent = text;
  }

  function open() {
    clearTimeout(timer);
    if (paused || document.hidden || source) return;
    source = new EventSource(`${root}/api/v1/events?topics=${encodeURIComponent(topics)}`);
    source.addEventListener("hello", (event) => greeted(JSON.parse(event.data)));
    source.addEventListener("counts", (event) => counts(JSON.parse(event.data)));
    for (const kind of ["rates", "worker", "schedule", "attention", "operation"]) {
      source.addEventListener(kind, (event) => rows(kind, JSON.parse(event.data)));
    }
    for (const kind of ["progress", "log", "operation"]) {
      source.addEventListener(kind, (event) => document.dispatchEvent(new CustomEvent(`corral:${kind}`, { detail: JSON.parse(event.data) })));
    }
    source.addEventListener("jobs", () => document.dispatchEvent(new CustomEvent("corral:jobs")));
    source.addEventListener("job", () => document.dispatchEvent(new CustomEvent("corral:job")));
    source.addEventListener("degraded", () => outage(true));
    source.addEventListener("recovered", () => {
      outage(false);
      stale();
    });
    source.addEventListener("bye", again);
    source.onerror = again;
  }

  // Another instance may be of another version: the page is asked, and says so.
  function greeted(hello) {
    const missed = begun && (hello.resume === false || hello.instance !== instance);
    begun = true;
    instance = hello.instance;
    failures = 0;
    lostAt = 0;
    clearInterval(asking);
    asking = 0;
    outage(false);
    show("live", "live");
    if (missed) stale();
  }

  function stale() {
    document.dispatchEvent(new CustomEvent("corral:stale"));
  }

  function again() {
    close();
    failures += 1;
    lostAt ||= Date.now();
    if (failures < TRIES) show("lost", "reconnecting");
    else if (!asking) {
      asking = setInterval(ask, POLL_MS);
      ask();
    }
    timer = setTimeout(open, Math.min(RETRY_MS, 500 * 2 ** failures));
  }

  function ask() {
    if (!document.hidden && !paused) document.dispatchEvent(new CustomEvent("corral:poll"));
  }

  function close() {
    source?.close();
    source = null;
  }

  function rest() {
    close();
    clearTimeout(timer);
    clearInterval(asking);
    asking = 0;
    failures = 0;
    lostAt = 0;
    show("paused", "paused");
  }

  // What came of asking: as long as there are answers, the numbers are new enough.
  document.addEventListener("corral:answered", (event) => {
    if (!asking) return;
    if (event.detail) lostAt = 0;
    else lostAt ||= Date.now();
    if (event.detail) show("polling", "polling");
  });
  setInterval(() => {
    if (asking && lostAt) show("lost", `disconnected ${Math.round((Date.now() - lostAt) / 1000)} s · retry`);
  }, 1000);
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : open()));
  button.hidden = false;
  button.addEventListener("click", () => {
    if (button.dataset.state === "lost") {
      close();
      return asking ? (ask(), open()) : open();
    }
    paused = !paused;
    document.body.toggleAttribute("data-paused", paused);
    button.setAttribute("aria-pressed", String(paused));
    if (paused) rest();
    else open();
  });
  addEventListener("pagehide", close);
  show("polling", "connecting");
  open();
}
