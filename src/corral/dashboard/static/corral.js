// What the pages gain from a script; none of them needs one.
import { complete } from "./complete.js";
import { copies } from "./copy.js";
import { live } from "./live.js";
import { dialogs } from "./dialogs.js";
import { following } from "./following.js";
import { pan } from "./pan.js";
import { compare, fresh } from "./fresh.js";
import { selection } from "./selection.js";
import { shortcuts } from "./shortcuts.js";
import { times } from "./times.js";

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
  if (event.target.matches?.("[data-submit]")) event.target.form.requestSubmit();
});

// What was revealed is asked for once: a page that renews itself hides it again.
const address = new URL(location.href);
if (address.searchParams.has("reveal")) {
  address.searchParams.delete("reveal");
  history.replaceState(null, "", address);
}

if (matchMedia("(max-width: 767px)").matches) document.querySelector(".fold")?.removeAttribute("open");

selection();
dialogs();
shortcuts();
compare();
complete();
copies();
times();
following();
pan();
fresh();
live();
