// What the pages gain from a script; none of them needs one.
import { complete } from "./complete.js";
import { copy } from "./copy.js";
import { live } from "./live.js";
import { dialogs } from "./dialogs.js";
import { compare, fresh } from "./fresh.js";
import { selection } from "./selection.js";
import { shortcuts } from "./shortcuts.js";

const theme = document.querySelector("[data-theme-form]");
theme?.addEventListener("submit", (event) => {
  event.preventDefault();
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
  const next = dark ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  fetch(theme.action, { method: "POST", body: new URLSearchParams({ theme: next, _next: "/" }), redirect: "manual" });
});

// Asked of the document, as parts of a page may be put in place anew.
document.addEventListener("change", (event) => {
  if (event.target.matches?.("select[data-submit]")) event.target.form.requestSubmit();
});
document.addEventListener("click", (event) => {
  const shown = event.target.closest?.("[data-copy]");
  if (shown) copy(shown.dataset.copy);
});

// A word about what was done stays in the address only until it has been read.
if (new URLSearchParams(location.search).has("done")) {
  const address = new URL(location.href);
  address.searchParams.delete("done");
  history.replaceState(null, "", address);
}

if (matchMedia("(max-width: 767px)").matches) document.querySelector(".fold")?.removeAttribute("open");

selection();
dialogs();
shortcuts();
compare();
complete();
fresh();
live();
