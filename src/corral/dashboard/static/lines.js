// A line of a log as the server writes it: without what only a terminal understands, JSON with its level and message apart.
const COMMANDS = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])|[\u0000-\u0008\u000b-\u001f\u007f]/g;
const LEVEL = ["level", "severity", "levelname"];
const MESSAGE = ["message", "msg", "event"];
const TIME = ["timestamp", "time", "ts"];
const CALLED = { trace: "debug", debug: "debug", info: "info", notice: "info", warn: "warning", warning: "warning", err: "error", error: "error", critical: "error", fatal: "error", alert: "error", emergency: "error" };
// Loggers that number their levels begin one at each of these.
const NUMBERED = [[50, "error"], [40, "warning"], [30, "info"], [0, "debug"]];

// A list's item; `number` is the one that is shown before it.
export function item(number, text) {
  const told = taken(text);
  const made = document.createElement("li");
  made.className = told.level;
  made.append(part("span", "n", number));
  if (told.at) made.append(muted(clock(told.at)), " ");
  if (told.level) made.append(part("b", "", told.level), " ");
  made.append(plain(told.text));
  if (told.more) made.append(" ", muted(plain(told.more)));
  return made;
}

function taken(text) {
  const fields = parsed(text);
  const [level, message, time] = [LEVEL, MESSAGE, TIME].map((names) => names.find((name) => Object.hasOwn(fields, name)));
  const said = level && called(fields[level]);
  if (!said || !message) return { text, level: "" };
  const at = time === undefined ? null : instant(fields[time]);
  const rest = Object.entries(fields).filter(([name]) => name !== level && name !== message && !(at && name === time));
  const words = typeof fields[message] === "string" ? fields[message] : spaced(fields[message]);
  return { text: words, level: said, at, more: rest.length ? spaced(Object.fromEntries(rest)) : "" };
}

function parsed(text) {
  try {
    const found = text.startsWith("{") ? JSON.parse(text) : {};
    return found;
  } catch {
    return {};
  }
}

function called(level) {
  if (Number.isInteger(level)) return NUMBERED.find(([least]) => level >= least)?.[1];
  const word = String(level).toLowerCase();
  return Object.hasOwn(CALLED, word) ? CALLED[word] : undefined;
}

// Moments are texts of ISO 8601; one without a zone is UTC.
function instant(said) {
  const text = String(said);
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return null;
  const at = new Date(/[T ]\d.*(Z|[+-]\d\d:?\d\d)$|^\S{10}$/.test(text) ? text : `${text}Z`);
  return Number.isNaN(at.getTime()) ? null : at;
}

// In the zone that the reader has chosen: 2026-11-23 13:04:05.120.
function clock(at) {
  const zone = document.querySelector("[data-times]")?.dataset.zone || "UTC";
  const shown = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" }).format(at);
  const made = document.createElement("time");
  made.dateTime = at.toISOString();
  made.title = zone;
  made.textContent = `${shown}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  return made;
}

function spaced(value) {
  if (Array.isArray(value)) return `[${value.map(spaced).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${spaced(one)}`).join(", ")}}`;
}

function plain(text) {
  return text.replace(COMMANDS, "");
}

function part(tag, kind, text) {
  return Object.assign(document.createElement(tag), { className: kind, textContent: text });
}

function muted(inside) {
  const made = part("span", "muted", "");
  made.append(inside);
  return made;
}
