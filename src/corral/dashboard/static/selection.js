// Choosing rows: all of the page, or from one to another with the shift key.
export function selection() {
  for (const form of document.querySelectorAll("[data-select]")) {
    const boxes = [...form.querySelectorAll('tbody .pick input')];
    const all = form.querySelector("[data-all]");
    const bar = form.querySelector("[data-bulk]");
    const word = form.querySelector("[data-chosen]");
    const every = form.querySelector('input[name="all"]');
    let last = null;
    const tell = () => {
      const chosen = boxes.filter((box) => box.checked).length;
      all.checked = chosen > 0 && chosen === boxes.length;
      all.indeterminate = chosen > 0 && chosen < boxes.length;
      word.textContent = every?.checked ? "all that match:" : chosen ? `${chosen} selected:` : `Select ${form.dataset.select || "jobs"} to:`;
      for (const button of bar.querySelectorAll("button")) button.disabled = !chosen && !every?.checked;
    };
    all.hidden = false;
    all.addEventListener("change", () => {
      for (const box of boxes) box.checked = all.checked;
      tell();
    });
    every?.addEventListener("change", tell);
    for (const box of boxes) {
      box.addEventListener("click", (event) => {
        if (event.shiftKey && last) {
          const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
          for (const one of boxes.slice(from, to + 1)) one.checked = box.checked;
        }
        last = box;
        tell();
      });
    }
    tell();
  }
}
