// What could be typed next in a search: asked of the API, shown by the browser's own list.
const PAUSE_MS = 150;

export function complete() {
  const root = document.body.dataset.root ?? "";
  for (const field of document.querySelectorAll("#find, [data-complete]")) {
    const list = Object.assign(document.createElement("datalist"), { id: `${field.id}-words` });
    field.after(list);
    field.setAttribute("list", list.id);
    let timer = 0;
    let asked = 0;
    field.addEventListener("input", (event) => {
      if (event.inputType === "insertReplacementText" || !event.inputType) return; // one of the list was chosen
      clearTimeout(timer);
      timer = setTimeout(async () => {
        const mine = ++asked;
        const said = field.value;
        const parameters = new URLSearchParams({ q: said, at: field.selectionStart ?? said.length });
        const answer = await fetch(`${root}/api/v1/complete?${parameters}`).catch(() => null);
        if (!answer?.ok || mine !== asked) return;
        const found = await answer.json();
        list.replaceChildren(
          ...(found.items ?? found).slice(0, 12).map((one) =>
            Object.assign(document.createElement("option"), { value: said.slice(0, one.start) + one.text + said.slice(one.end) }),
          ),
        );
      }, PAUSE_MS);
    });
  }
}
