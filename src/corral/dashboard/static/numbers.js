// What a stream says, put where the page shows it. What the page has no place for asks for the page anew.
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
// What only news of a whole row has, by the kind of row: the rest is about one that the page knows or need not know.
const WHOLE = { worker: ["name"], schedule: ["key"], attention: ["rule"], rates: ["per_second", "state", "slots"] };
const WRITTEN = {
  count: (value) => Number(value).toLocaleString("en", { maximumFractionDigits: Number.isInteger(value) ? 0 : 1 }),
  duration: (ms) => duration(ms),
  minute: (perSecond) => Math.round(perSecond * 60).toLocaleString("en"),
  finding: (message, queue) => message.replace(`${queue}: `, ""),
};

export function counts(queues) {
  for (const [queue, numbers] of Object.entries(queues)) put("counts", queue, numbers ?? {});
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
  if (stale) document.dispatchEvent(new CustomEvent("corral:stale"));
}

function put(kind, key, numbers) {
  for (const [name, value] of Object.entries(numbers)) {
    for (const shown of document.querySelectorAll(`[data-bind="${CSS.escape(`${kind}:${key}:${name}`)}"]`)) {
      const text = value === null ? "–" : WRITTEN[shown.dataset.as ?? "count"](value, shown.dataset.of);
      if (shown.textContent === text) continue;
      shown.textContent = text;
      shown.classList.remove("changed");
      void shown.offsetWidth; // begin the animation anew
      shown.classList.add("changed");
    }
  }
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
