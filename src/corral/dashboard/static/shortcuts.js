// Keys: / searches, g and a letter goes somewhere, j and k move along a list. Whoever does not want them turns them off.
import { copied } from "./copy.js";

const PLACES = { o: "/", q: "/queues", j: "/jobs", f: "/failures", s: "/schedules", l: "/flows", w: "/workers", i: "/insights" };
const HELP = [
  ["/", "search"], ["g o", "overview"], ["g q", "queues"], ["g j", "jobs"], ["g f", "failures"], ["g s", "schedules"],
  ["g l", "flows"], ["g w", "workers"], ["g i", "insights"], ["j k", "down, up"], ["x", "select"], ["o", "open"],
  ["r", "retry"], ["e", "edit and run again"], ["c", "copy the id"], [".", "to the page's buttons"], ["t", "colours"],
  ["p", "pause live numbers"], ["?", "this list"],
];
const KEPT = "corral-keys";

export function shortcuts() {
  const root = document.body.dataset.root ?? "";
  const shown = document.querySelector("[data-keys]");
  let going = 0;
  let last = -1;

  function rows() {
    return [...document.querySelectorAll("main tbody tr")].filter((row) => row.getClientRects().length); // not of a folded group
  }

  // From where the focus is, if it is in a row; else from where it was last.
  function move(by) {
    const all = rows();
    if (!all.length) return;
    const here = all.indexOf(document.activeElement?.closest("tr"));
    last = Math.max(0, Math.min(all.length - 1, (here < 0 ? last : here) + by));
    const row = all[last];
    const first = row.querySelector("a, .unfold") ?? row;
    if (first === row) row.tabIndex = -1;
    first.focus();
    row.scrollIntoView({ block: "nearest" });
  }

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || off()) return;
    if (event.target.closest?.("input:not(.unfold), textarea, select, [contenteditable], dialog")) return;
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
      c: () => [document.querySelector("[data-copy]")].filter(Boolean).forEach(copied),
      ".": () => document.querySelector("main .tools :is(a, button, summary)")?.focus(),
      t: () => press("[data-theme-form] button"),
      p: () => press("[data-live]"),
      "?": help,
    };
    if (key in actions) {
      event.preventDefault();
      actions[key]();
    }
  });
  if (!shown) return;
  shown.hidden = false;
  shown.addEventListener("click", help);
}

function off() {
  try {
    return localStorage.getItem(KEPT) === "off";
  } catch {
    return false; // a browser that keeps nothing
  }
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
  dialog.append(title, list, choice());
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.showModal();
}

// Single keys get in the way of who speaks to the computer: they can be turned off, and found again in the footer.
function choice() {
  const label = Object.assign(document.createElement("label"), { className: "check" });
  const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: !off() });
  box.addEventListener("change", () => (box.checked ? localStorage.removeItem(KEPT) : localStorage.setItem(KEPT, "off")));
  label.append(box, "Keys do this in this browser");
  return label;
}
