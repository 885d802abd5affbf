// While the store does not answer: what is shown is old, and nothing can be changed.
let since = 0;
let banner = null;
let age = null;
const held = new Set();

export function outage(lasts) {
  if (!lasts) return over();
  hold();
  if (banner) return;
  since = Date.now();
  document.body.dataset.outage = "";
  banner = Object.assign(document.createElement("div"), { className: "notice bad outage" });
  const said = Object.assign(document.createElement("p"), { textContent: "The store does not answer: nothing can be changed now." });
  said.setAttribute("role", "alert");
  const old = Object.assign(document.createElement("p"), { textContent: "Numbers are as they were " });
  age = Object.assign(document.createElement("b"), { textContent: "just now" });
  old.append(age, ".");
  banner.append(said, old);
  document.body.append(banner);
}

function over() {
  if (!banner) return;
  banner.remove();
  banner = null;
  delete document.body.dataset.outage;
  for (const button of held) button.disabled = false;
  held.clear();
}

function hold() {
  for (const button of document.querySelectorAll('main form[method="post"] button:not(:disabled)')) {
    button.disabled = true;
    held.add(button);
  }
}

setInterval(() => {
  if (banner) age.textContent = `${Math.round((Date.now() - since) / 1000)} s ago`;
}, 1000);
