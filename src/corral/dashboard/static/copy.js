// Copies a text.
const SHOWN_MS = 1500;

export function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = Object.assign(document.createElement("textarea"), { value: text }); // a page over plain http has no clipboard
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

// What can be copied says so, to keyboards and screen readers too.
export function prepare() {
  for (const one of document.querySelectorAll("[data-copy]")) {
    one.title ||= "Copy";
    if (one.tagName === "BUTTON") continue;
    one.tabIndex = 0;
    if (!one.hasAttribute("role")) one.setAttribute("role", "button");
  }
}

export async function copied(one) {
  await copy(one.dataset.copy);
  one.dataset.copied = "";
  const line = document.querySelector("[data-announcer]");
  if (line) line.textContent = "Copied";
  setTimeout(() => delete one.dataset.copied, SHOWN_MS);
}

export function copies() {
  prepare();
  document.addEventListener("click", (event) => {
    const one = event.target.closest?.("[data-copy]");
    if (one && getSelection().isCollapsed) copied(one);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    const one = event.target.closest?.("[data-copy]");
    if (!one || one.tagName === "BUTTON") return; // a button's click comes by itself
    event.preventDefault();
    copied(one);
  });
}
