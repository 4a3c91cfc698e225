// Returns the visible elements of a role whose accessible name contains a text, the best match first. Names come from
// aria-labelledby, aria-label, the label of a field, alt, the text, title or the value.
const [role, name] = arguments;

const selectors = {
  button: "button, summary, [role=button], [role=switch], [role=tab], [role=menuitem], input[type=submit]",
  link: "a[href], [role=link]",
  field: "input, textarea, select, [role=textbox], [role=combobox], [contenteditable=true]",
  heading: "h1, h2, h3, h4, h5, h6, [role=heading]",
  row: "[role=option], [role=row], [role=listitem], [role=article], li, tr",
  dialog: "dialog[open], [role=dialog], [role=alertdialog]",
  alert: "[role=alert], [role=status], output, [aria-live]",
  image: "img, [role=img]",
  frame: "iframe",
};

const plain = (text) => (text ?? "").replace(/\s+/g, " ").trim().toLowerCase();

const nameOf = (element) => {
  const labelledBy = element.getAttribute("aria-labelledby");
  if (labelledBy) {
    return labelledBy.split(/\s+/).map((id) => document.getElementById(id)?.innerText).join(" ");
  }
  const label = [...(element.labels ?? [])].map((label) => label.innerText).join(" ");
  return [element.getAttribute("aria-label"), label, element.alt, element.innerText, element.title, element.value]
    .find((text) => plain(text) !== "");
};

const modal = document.querySelector("dialog:modal");
const isReachable = (element) =>
  element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) &&
  !element.closest("[inert], [aria-hidden=true]") &&
  (!modal || modal.contains(element));

const wanted = plain(name);
const score = (element) => {
  const found = plain(nameOf(element));
  if (!found.includes(wanted)) return 0;
  return found === wanted ? 3 : found.startsWith(wanted) ? 2 : 1;
};

return [...document.querySelectorAll(selectors[role])]
  .filter(isReachable)
  .map((element, at) => ({ element, score: score(element), at }))
  .filter(({ score }) => score > 0)
  .sort((one, other) => other.score - one.score || one.at - other.at)
  .map(({ element }) => element);
