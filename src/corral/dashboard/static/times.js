// Distances in time go on while a page stands; the browser says which zone is its own.
const TICK_MS = 30_000;
const YEAR_S = 31_536_000;

export function times() {
  setInterval(tick, TICK_MS);
  document.addEventListener("visibilitychange", () => document.hidden || tick());
  const form = document.querySelector("[data-times]");
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!form || !here) return;
  form.elements.here.value = here;
  // Whoever has travelled sees it on the next page.
  if (form.dataset.chosen !== "local" || form.dataset.zone === here) return;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `corral-here=${here}; path=/; max-age=${YEAR_S}; samesite=lax${secure}`;
}

function tick() {
  for (const shown of document.querySelectorAll('time[data-form="ago"]')) {
    const text = distance(Date.now() - Date.parse(shown.dateTime));
    if (shown.textContent !== text) shown.textContent = text;
  }
}

// As the server writes it: just now, 40 s ago, 4 min ago, in 2 h, 3 d ago.
function distance(passed) {
  const away = Math.abs(passed) / 1000;
  if (away < 2) return "just now";
  const [, length, unit] = [[172_800, 86_400, "d"], [7_200, 3_600, "h"], [120, 60, "min"], [0, 1, "s"]].find(([least]) => away >= least);
  const text = `${Math.round(away / length)} ${unit}`;
  return passed > 0 ? `${text} ago` : `in ${text}`;
}
