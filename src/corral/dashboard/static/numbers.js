// What a stream says, put where the page shows it. What the page has no place for asks for the page anew.
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
// What only news of a whole row has, by the kind of row: the rest is about one that the page knows or need not know.
const WHOLE = { worker: ["name"], schedule: ["key"], attention: ["rule"], operation: ["action"], rates: ["per_second", "state", "slots"] };
const WRITTEN = {
  count: (value) => Number(value).toLocaleString("en", { maximumFractionDigits: Number.isInteger(value) ? 0 : 1 }),
  duration: (ms) => duration(ms),
  minute: (perSecond) => Math.round(perSecond * 60).toLocaleString("en"),
  finding: (message, queue) => message.replace(`${queue}: `, ""),
};

// Who does not see numbers change is told of them, this often at most.
const SPOKEN_MS = 10 * SECOND;
const SPOKEN = { waiting: "waiting", active: "active", failed: "failed" };
const known = new Map();
let speaking = 0;

export function counts(queues) {
  const first = known.size === 0;
  for (const [queue, numbers] of Object.entries(queues)) {
    if (numbers === null) known.delete(queue);
    else known.set(queue, { ...known.get(queue), ...numbers });
    put("counts", queue, numbers ?? {});
  }
  totals();
  if (!first) speaking ||= setTimeout(speak, SPOKEN_MS);
}

// One line about the page's queue, or about all of them together.
function speak() {
  speaking = 0;
  const line = document.querySelector("[data-announcer]");
  const [, one] = /(?:^|,)queue:([^,]*)/.exec(document.body.dataset.topics ?? "") ?? [];
  const told = one === undefined ? [...known.values()] : [known.get(decodeURIComponent(one)) ?? {}];
  const text = Object.entries(SPOKEN).map(([name, word]) => `${WRITTEN.count(told.reduce((sum, numbers) => sum + (numbers[name] ?? 0), 0))} ${word}`).join(", ");
  if (line && line.textContent !== text) line.textContent = text;
}

// What queues amount to: those of a group that stand below it, or all of a table.
function totals() {
  for (const shown of document.querySelectorAll("[data-total]")) {
    const of = shown.closest(".group")?.nextElementSibling ?? shown.closest("table");
    const cells = of.querySelectorAll(`tbody [data-bind$=":${shown.dataset.total}"]`);
    write(shown, WRITTEN.count([...cells].reduce((sum, cell) => sum + (Number(cell.textContent.replaceAll(",", "")) || 0), 0)));
  }
}

// The numbers of a page that was fetched anew, put where this one shows them.
export function told(here, there) {
  for (const one of there.querySelectorAll("[data-bind]")) {
    for (const shown of here.querySelectorAll(`[data-bind="${CSS.escape(one.dataset.bind)}"]`)) write(shown, one.textContent);
  }
  totals();
}

// A row that has come, gone, or changed more than its numbers is fetched with its page.
export function rows(kind, news) {
  const listed = document.querySelector(`[data-rows~="${kind}"]`) !== null;
  let stale = false;
  for (const [key, fact] of Object.entries(news)) {
    const row = document.querySelector(`[data-row="${CSS.escape(`${kind}:${key}`)}"]`);
    if (fact === null) stale ||= row !== null;
    else if (!row) stale ||= listed && WHOLE[kind].every((name) => name in fact);
    else stale ||= Object.entries(fact).some(([name, value]) => name in row.dataset && row.dataset[name] !== String(value ?? ""));
    put(kind, key, fact ?? {});
  }
  if (kind === "rates") totals();
  if (stale) document.dispatchEvent(new CustomEvent("corral:stale"));
}

function put(kind, key, numbers) {
  for (const [name, value] of Object.entries(numbers)) {
    for (const shown of document.querySelectorAll(`[data-bind="${CSS.escape(`${kind}:${key}:${name}`)}"]`)) {
      write(shown, value === null ? "–" : WRITTEN[shown.dataset.as ?? "count"](value, shown.dataset.of));
    }
  }
}

function write(shown, text) {
  if (shown.tagName === "METER") shown.value = Number(text.replaceAll(",", "")) || 0;
  if (shown.textContent === text) return;
  shown.textContent = text;
  shown.classList.remove("changed");
  void shown.offsetWidth; // begin the animation anew
  shown.classList.add("changed");
}

// As the server writes it: 320 ms, 1.2 s, 3 m 04 s, 2 h 10 m, 3 d 4 h.
function duration(ms) {
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / SECOND).toFixed(ms < 9_950 ? 1 : 0)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} m ${two((ms % MINUTE) / SECOND)} s`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h ${two((ms % HOUR) / MINUTE)} m`;
  return `${Math.floor(ms / DAY)} d ${Math.floor((ms % DAY) / HOUR)} h`;
}
