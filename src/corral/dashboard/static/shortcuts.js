// Keys: / searches, g and a letter goes somewhere, j and k move along a list.
import { copy } from "./copy.js";

const PLACES = { o: "/", q: "/queues", j: "/jobs", f: "/failures", s: "/schedules", l: "/flows", w: "/workers", i: "/insights" };
const HELP = [
  ["/", "search"], ["g o", "overview"], ["g q", "queues"], ["g j", "jobs"], ["g f", "failures"], ["g s", "schedules"],
  ["g l", "flows"], ["g w", "workers"], ["g i", "insights"], ["j k", "down, up"], ["x", "select"], ["o", "open"],
  ["r", "retry"], ["e", "edit and run again"], ["c", "copy the id"], ["t", "colours"], ["p", "pause live numbers"], ["?", "this list"],
];

export function shortcuts() {
  const root = document.body.dataset.root ?? "";
  let going = 0;
  let row = -1;

  function rows() {
    return [...document.querySelectorAll("main tbody tr")];
  }

  function move(by) {
    const all = rows();
    if (!all.length) return;
    row = Math.max(0, Math.min(all.length - 1, row + by));
    const link = all[row].querySelector("a");
    (link ?? all[row]).focus();
    all[row].scrollIntoView({ block: "nearest" });
  }

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable], dialog")) return;
    const key = event.key;
    if (Date.now() - going < 1500 && key in PLACES) {
      event.preventDefault();
      return location.assign(root + PLACES[key]);
    }
    going = key === "g" ? Date.now() : 0;
    const press = (selector) => document.querySelector(selector)?.click();
    const actions = {
      "/": () => document.querySelector("#find")?.focus(),
      j: () => move(1),
      k: () => move(-1),
      x: () => document.activeElement?.closest("tr")?.querySelector('input[type="checkbox"]')?.click(),
      o: () => document.activeElement?.closest("tr")?.querySelector("a")?.click(),
      r: () => press('form[action$="/retry"] button'),
      e: () => press('a[href$="/ask/rerun"]'),
      c: () => copy(document.querySelector("[data-copy]")?.dataset.copy ?? ""),
      t: () => press("[data-theme-form] button"),
      p: () => press("[data-live]"),
      "?": help,
    };
    if (key in actions) {
      event.preventDefault();
      actions[key]();
    }
  });
}

function help() {
  const dialog = document.createElement("dialog");
  const title = Object.assign(document.createElement("h1"), { textContent: "Keys" });
  const list = document.createElement("dl");
  list.className = "list";
  for (const [key, text] of HELP) {
    const term = document.createElement("dt");
    term.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    list.append(term, Object.assign(document.createElement("dd"), { textContent: text }));
  }
  dialog.append(title, list);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.showModal();
}
