// Pages that are looked at while something goes on: one job, one operation, a list that grows.
import { selection } from "./selection.js";
import { prepare } from "./copy.js";
import { told } from "./numbers.js";
import { outage } from "./outage.js";

const PAUSE_MS = 1000;
// Until a page is asked for again that was not answered.
const SLOWLY_MS = 5000;

export function fresh() {
  const main = document.querySelector("main");
  let timer = 0;
  let heard = false; // the first word about operations is what the page shows already

  // The page is fetched anew and put in place, once nobody is typing in it, points at a row, or has chosen something.
  // Where the page is `asked` because no stream lasts, that does not wait: then only its numbers are put in place.
  async function renew(asked) {
    timer = 0;
    if (document.hidden || "paused" in document.body.dataset) return;
    const list = main.querySelector("form.jobs") !== null;
    if (!asked && busy()) return soon(PAUSE_MS);
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    document.dispatchEvent(new CustomEvent("corral:answered", { detail: answer !== null && answer.status !== 503 }));
    if (answer?.status === 503) {
      outage(true);
      return soon(SLOWLY_MS, asked);
    }
    if (!answer?.ok) return watch(SLOWLY_MS);
    outage(false);
    if (answer.redirected && new URL(answer.url).pathname.endsWith("/login")) return location.assign(answer.url);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.querySelector("main");
    if (!next) return watch();
    if (script(page) !== script(document)) return offer("There is a newer version of these pages: load it");
    if (busy() || (asked && list)) told(main, next);
    else put(next);
    watch();
  }

  function put(next) {
    const open = new Map(folds().map(([key, one]) => [key, one.open]));
    const unfolded = new Map(groups().map((one) => [one.value, one.checked]));
    const held = main.contains(document.activeElement) ? known(document.activeElement) : null;
    main.replaceChildren(...document.adoptNode(next).childNodes);
    for (const [key, one] of folds()) one.open = open.get(key) ?? one.open;
    for (const one of groups()) one.checked = unfolded.get(one.value) ?? one.checked;
    if (held) [...main.querySelectorAll("a, button, summary")].find((one) => known(one) === held)?.focus();
    selection();
    prepare();
    document.dispatchEvent(new CustomEvent("corral:renewed"));
  }

  function busy() {
    if (document.querySelector("dialog[open]") || main.querySelector("[data-row]:hover")) return true;
    if (main.contains(document.activeElement?.closest("input:not(.unfold), textarea, select"))) return true;
    return [...main.querySelectorAll("input:not([type=hidden], .unfold), textarea, select")].some(changed);
  }

  // Whether somebody has typed or chosen something that is not sent yet.
  function changed(one) {
    if (one.type === "checkbox" || one.type === "radio") return one.checked !== one.defaultChecked;
    if (one.tagName !== "SELECT") return one.value !== one.defaultValue;
    return one.selectedIndex !== Math.max(0, [...one.options].findIndex((option) => option.defaultSelected));
  }

  // What can be unfolded, by what it says, and which of those that say the same it is.
  function folds() {
    const seen = {};
    return [...main.querySelectorAll("details")].map((one) => {
      const says = one.id || (one.querySelector("summary")?.textContent ?? "");
      seen[says] = (seen[says] ?? 0) + 1;
      return [`${says}\n${seen[says]}`, one];
    });
  }

  function groups() {
    return [...main.querySelectorAll(".unfold")];
  }

  // What a link or a button is found again by.
  function known(one) {
    return [one.tagName, one.textContent, one.href ?? one.form?.action ?? ""].join("\n");
  }

  function script(page) {
    return page.querySelector('script[type="module"]')?.getAttribute("src");
  }

  function soon(wait, asked = false) {
    timer ||= setTimeout(renew, wait, asked);
  }

  function watch(least = 0) {
    const every = main.querySelector("[data-refresh]");
    if (every) soon(Math.max(least, Number(every.dataset.refresh)));
  }

  // Rows never move under the pointer: a list says that there is more, and waits to be asked.
  function offer(text) {
    if (main.querySelector("[data-more]")) return;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "more" });
    button.dataset.more = "";
    button.textContent = text;
    button.addEventListener("click", () => location.reload());
    (main.querySelector("form.jobs") ?? main).prepend(button);
  }

  function grown() {
    if (main.querySelector("form.jobs")) offer("The list has changed: show it");
  }

  document.addEventListener("corral:job", () => soon(PAUSE_MS));
  document.addEventListener("corral:stale", () => (main.querySelector("form.jobs") ? grown() : soon(PAUSE_MS)));
  document.addEventListener("corral:jobs", grown);
  document.addEventListener("corral:operation", () => (heard ? soon(PAUSE_MS) : (heard = true)));
  document.addEventListener("corral:poll", () => renew(true));
  document.addEventListener("visibilitychange", () => document.hidden || watch());
  watch();
}

// Two panes: what was, what is to be, and line by line what differs.
export function compare() {
  const before = document.querySelector("[data-before]");
  const after = document.querySelector("[data-after]");
  const shown = document.querySelector("[data-shown]");
  if (!before || !after || !shown) return;
  const was = before.textContent.split("\n");
  const tell = () => {
    const rows = differences(was, after.value.split("\n"));
    shown.hidden = !rows.some(([kind]) => kind !== "span");
    shown.replaceChildren(...rows.map(([kind, text]) => Object.assign(document.createElement(kind), { textContent: `${{ ins: "+ ", del: "− ", span: "  " }[kind]}${text}` })));
  };
  after.addEventListener("input", tell);
  tell();
}

// The longest lines both have in common, by the table everybody uses; a payload has few lines.
function differences(a, b) {
  if (a.length * b.length > 4e6) return [...a.map((line) => ["del", line]), ...b.map((line) => ["ins", line])];
  const long = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      long[i][j] = a[i] === b[j] ? long[i + 1][j + 1] + 1 : Math.max(long[i + 1][j], long[i][j + 1]);
    }
  }
  const rows = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      rows.push(["span", a[i++]]);
      j++;
    } else if (j >= b.length || (i < a.length && long[i + 1][j] >= long[i][j + 1])) rows.push(["del", a[i++]]);
    else rows.push(["ins", b[j++]]);
  }
  return rows;
}
