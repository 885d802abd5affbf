// Pages that are looked at while something goes on: one job, one operation, a list that grows.
const PAUSE_MS = 1000;

export function fresh() {
  const main = document.querySelector("main");
  let timer = 0;

  // The page is fetched anew and put in place, once nobody is typing in it, points at a row, or has something open above.
  async function renew() {
    timer = 0;
    if (document.hidden) return;
    const busy = document.querySelector("dialog[open]") || main.contains(document.activeElement?.closest("input, textarea, select"));
    if (busy || main.querySelector("[data-row]:hover")) return soon(PAUSE_MS);
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.querySelector("main");
    if (!next) return;
    const open = [...main.querySelectorAll("details")].map((one) => one.open);
    const held = main.contains(document.activeElement) ? known(document.activeElement) : null;
    main.replaceChildren(...document.adoptNode(next).childNodes);
    [...main.querySelectorAll("details")].forEach((one, place) => {
      if (place < open.length) one.open = open[place];
    });
    if (held) [...main.querySelectorAll("a, button, summary")].find((one) => known(one) === held)?.focus();
    watch();
  }

  // What a link or a button is found again by.
  function known(one) {
    return [one.tagName, one.textContent, one.href ?? one.form?.action ?? ""].join("\n");
  }

  function soon(wait) {
    timer ||= setTimeout(renew, wait);
  }

  function watch() {
    const every = main.querySelector("[data-refresh]");
    if (every) soon(Number(every.dataset.refresh));
  }

  // Rows never move under the pointer: a list says that there is more, and waits to be asked.
  function offer() {
    const form = main.querySelector("form.jobs");
    if (!form || main.querySelector("[data-more]")) return;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "more" });
    button.dataset.more = "";
    button.textContent = "The list has changed: show it";
    button.addEventListener("click", () => location.reload());
    form.prepend(button);
  }

  document.addEventListener("corral:job", () => soon(PAUSE_MS));
  document.addEventListener("corral:stale", () => (main.querySelector("form.jobs") ? offer() : soon(PAUSE_MS)));
  document.addEventListener("corral:jobs", offer);
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
