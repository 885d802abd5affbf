// Pages that ask before something is done, shown above the page they were asked for on.
export function dialogs() {
  document.addEventListener("click", async (event) => {
    const link = event.target.closest?.("a[data-dialog]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || !window.HTMLDialogElement) return;
    event.preventDefault();
    const asked = await fetch(link.href, { headers: { Accept: "text/html" } }).catch(() => null);
    const page = asked && new DOMParser().parseFromString(await asked.text(), "text/html");
    const part = page?.querySelector("[data-ask]");
    if (!asked?.ok || !part) return location.assign(link.href);
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-label", part.querySelector("h1")?.textContent ?? "");
    dialog.append(document.adoptNode(part));
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      link.focus();
    });
    dialog.addEventListener("click", (click) => {
      if (click.target === dialog || click.target.closest("[data-close]")) {
        click.preventDefault();
        dialog.close();
      }
    });
    dialog.showModal();
    dialog.querySelector("input:not([type=hidden]), select, textarea, button")?.focus();
  });
}
