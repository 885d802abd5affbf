// Copies a text.
export function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = Object.assign(document.createElement("textarea"), { value: text }); // a page over plain http has no clipboard
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}
