// Builds elements. Text is always set as text, so that no name or message becomes markup.

const SVG = "http://www.w3.org/2000/svg";

export const WORDS = {
  failed: "Failed",
  progressing: "Progressing",
  orphaned: "Orphaned",
  suspended: "Suspended",
  synced: "Synced",
};

// Return an element with attributes and children. A key that begins with "on" is a listener;
// an attribute or child that is null, undefined or false is left out.
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

// Return an element of SVG.
export function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  const wanted = children
    .flat()
    .filter((each) => each !== null && each !== undefined && each !== false);
  element.append(...wanted);
  return element;
}

// Return an icon of the sprite in index.html. Its meaning stands beside it as a word.
export function icon(name) {
  return s(
    "svg",
    { class: `icon ${name}`, viewBox: "0 0 16 16", "aria-hidden": "true" },
    s("use", { href: `#${name}` }),
  );
}

// Return the icon and the word of a state.
export function badge(state, word = WORDS[state] ?? state) {
  return h("span", { class: `badge ${state}` }, icon(state), word);
}

// Return "namespace/name" with the namespace in a quieter colour.
export function fullName(namespace, name) {
  const title = namespace.length + name.length > 30 && `${namespace}/${name}`;
  return h("span", { class: "name", title }, h("span", { class: "quiet" }, `${namespace}/`), name);
}

// Return "namespace/name" for a text of that form.
export function splitName(text) {
  const slash = text.indexOf("/");
  return slash < 0
    ? h("span", { class: "name" }, text)
    : fullName(text.slice(0, slash), text.slice(slash + 1));
}

// Return how long ago a time was. `refreshAges` keeps it up to date.
export function age(at) {
  if (!at) return h("span", { class: "quiet" }, "never");
  const element = h("time", { datetime: at, title: new Date(at).toLocaleString() });
  element.textContent = ago(at);
  return element;
}

// Update every age on the page.
export function refreshAges() {
  for (const element of document.querySelectorAll("time[datetime]")) {
    element.textContent = ago(element.getAttribute("datetime"));
  }
}

function ago(at) {
  const seconds = Math.max(0, Math.round((Date.now() - new Date(at)) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

// Return a number with separators, such as "1,024".
export function grouped(number) {
  return number.toLocaleString("en");
}

// Return a number with separators and a noun, such as "1,024 copies".
export function count(number, one, many = `${one}s`) {
  return `${grouped(number)} ${number === 1 ? one : many}`;
}

// Return a text to copy, with a button for it.
export function command(text) {
  const button = h("button", { type: "button", class: "copy", onclick: copy }, "Copy");
  async function copy() {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => {
      button.textContent = "Copy";
    }, 2000);
  }
  return h("div", { class: "command" }, h("code", { tabindex: "0" }, text), button);
}

// Replace the children of an element, unless they are equal: an element that is replaced between
// press and release of the mouse gets no click. The focus stays on the element with the same
// `data-key`, with the text that was typed there.
export function replace(parent, ...children) {
  const wanted = children.flat().filter(Boolean);
  const present = [...parent.childNodes];
  const equal = (element, index) => element.isEqualNode(present[index]);
  if (wanted.length === present.length && wanted.every(equal)) return;
  const active = parent.contains(document.activeElement) ? document.activeElement : null;
  const { key } = active?.dataset ?? {};
  parent.replaceChildren(...wanted);
  const again = key && parent.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!again) return;
  if (again.matches("input")) again.value = active.value;
  again.focus({ preventScroll: true });
}
