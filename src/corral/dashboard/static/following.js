// One job while it runs: its progress and the lines of its log, as they come. And what only a script can do with a text.
import { copy } from "./copy.js";
import { item } from "./lines.js";

// Lines of a page: older ones give way.
const MOST = 1000;
let follows = false;
// A full log grows no longer while its lines are numbered on: by how much, and the length at which it was asked for anew.
let shift = 0;
let asked = -1;

export function following() {
  prepare();
  document.addEventListener("corral:renewed", prepare);
  document.addEventListener("corral:progress", (event) => progress(event.detail.progress));
  document.addEventListener("corral:log", (event) => line(event.detail));
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-follow], [data-copies], [data-unfold]");
    if (!button) return;
    if ("follow" in button.dataset) follow(button);
    else if ("unfold" in button.dataset) unfold(button);
    else take(button);
  });
  document.addEventListener("input", (event) => event.target.matches?.("[data-find]") && find(event.target, 0));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches?.("[data-find]")) find(event.target, event.shiftKey ? -1 : 1);
  });
}

function prepare() {
  for (const one of document.querySelectorAll("[data-follow], [data-copies], [data-unfold], [data-find]")) one.hidden = false;
  const button = document.querySelector("[data-follow]");
  if (!button) return;
  if (!document.querySelector("[data-log]")) button.hidden = true;
  button.setAttribute("aria-pressed", String(follows));
  if (follows) last();
}

// A number has its place; other progress is shown by the page.
function progress(value) {
  const shown = document.querySelectorAll("[data-progress]");
  if (typeof value !== "number" || !shown.length) return document.dispatchEvent(new CustomEvent("corral:job"));
  for (const one of shown) {
    if (one.tagName === "PROGRESS") one.value = value;
    else one.textContent = `${value.toLocaleString("en", { maximumFractionDigits: 1 })} %`;
  }
}

function line({ n, message }) {
  const list = document.querySelector("[data-log]");
  const next = Number(list?.dataset.log);
  if (!list || n - shift < next) return;
  if (n - shift > next) {
    if (asked !== next) {
      asked = next;
      return document.dispatchEvent(new CustomEvent("corral:job")); // some came before the stream
    }
    shift = n - next;
  }
  if (list.previousElementSibling?.matches(".empty")) list.previousElementSibling.remove();
  list.append(item(next + 1, message));
  while (list.children.length > MOST) list.firstElementChild.remove();
  list.dataset.log = next + 1;
  list.hidden = false;
  for (const end of document.querySelectorAll("[data-log-end], [data-log-total]")) end.textContent = (next + 1).toLocaleString("en");
  for (const begin of document.querySelectorAll("[data-log-begin]")) begin.textContent = (next + 2 - list.children.length).toLocaleString("en");
  if (follows) last();
}

function last() {
  const list = document.querySelector("[data-log]");
  if (list) list.scrollTop = list.scrollHeight;
}

function follow(button) {
  follows = !follows;
  button.setAttribute("aria-pressed", String(follows));
  if (follows) last();
}

function unfold(button) {
  const parts = [...button.closest("section").querySelectorAll(".json details")];
  const open = parts.some((one) => !one.open);
  for (const one of parts) one.open = open;
  button.textContent = open ? "Fold all" : "Unfold all";
}

// Keys and values that hold what is looked for are marked and unfolded; Enter goes from one to the next.
let at = 0;
function find(field, by) {
  const wanted = field.value.trim().toLowerCase();
  const hits = [];
  for (const one of field.closest("section").querySelectorAll(".json .key, .json .str, .json .num, .json .word")) {
    const hit = wanted !== "" && one.textContent.toLowerCase().includes(wanted);
    one.classList.toggle("hit", hit);
    if (hit) hits.push(one);
  }
  at = by && hits.length ? (at + by + hits.length) % hits.length : 0;
  for (const one of hits) for (let fold = one.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  hits[at]?.scrollIntoView({ block: "nearest" });
  const told = field.nextElementSibling;
  told.textContent = wanted === "" ? "" : hits.length ? `${at + 1} of ${hits.length}` : "none";
}

// The whole text from where it is, or the stack beside the button.
async function take(button) {
  const place = button.dataset.copies;
  const answer = place ? await fetch(place).catch(() => null) : null;
  const near = button.closest("details, article")?.querySelectorAll(".stack pre") ?? [];
  const text = place ? answer?.ok && (await answer.text()) : [...near].map((one) => one.textContent).join("\n");
  if (!text) return;
  await copy(text);
  button.dataset.copied = "";
  setTimeout(() => delete button.dataset.copied, 1500);
}
