/** Makes elements and keeps them in step with data; text is only ever set as text. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element with attributes (null leaves one out) and children (elements or text). */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for an element of a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** A button that looks like Flower's. */
export function button(words, onClick, attributes = {}) {
  const made = el("button", { type: "button", class: "btn btn-sm btn-outline-secondary", ...attributes }, words);
  made.addEventListener("click", onClick);
  return made;
}

/** Sets a text where it differs: what did not change keeps its selection, and is not read out again. */
export function setText(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

/** Sets an attribute where it differs; null and false remove it, true sets it empty. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    node.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (node.getAttribute(name) !== text) node.setAttribute(name, text);
}

/** Shows or hides; what is hidden while it has the focus leaves it to its heir, which is to be shown by then. */
export function setShown(node, shown, heir = null) {
  if (node.hidden !== shown) return;
  const had = document.activeElement === node;
  node.hidden = !shown;
  if (had && heir !== null) heir.focus({ preventScroll: true });
}

/**
 * Keeps a parent's children in step with rows: a part for each key, made once and then updated, so that focus and
 * what is open stay. A part has a `root` and `show(row)`.
 */
export class Parts {
  #parts = new Map();

  constructor(parent, { key, make, empty = null }) {
    this.parent = parent;
    this.key = key;
    this.make = make;
    this.empty = empty === null ? null : el(parent.tagName === "UL" ? "li" : "p", { class: "us-empty" }, empty);
  }

  show(rows) {
    const focused = document.activeElement;
    const had = this.parent.contains(focused);
    const wanted = this.#named(rows);
    for (const [key, part] of this.#parts) {
      if (wanted.has(key)) continue;
      part.root.remove();
      this.#parts.delete(key);
    }
    this.#showEmpty(rows.length === 0);
    let next = this.parent.firstElementChild;
    for (const [key, row] of wanted) {
      const part = this.#parts.get(key) ?? this.make(row);
      this.#parts.set(key, part);
      part.show(row);
      if (part.root === next) next = next.nextElementSibling;
      else this.parent.insertBefore(part.root, next);
    }
    if (!had || focused === document.activeElement) return;
    // Moving an element takes the focus from it; so does removing it, and then the heading above is nearest.
    const heir = focused.isConnected ? focused : above(this.parent);
    heir?.focus({ preventScroll: true });
  }

  [Symbol.iterator]() {
    return this.#parts.values();
  }

  #named(rows) {
    const named = new Map();
    for (const row of rows) {
      const key = String(this.key(row));
      let name = key;
      for (let again = 2; named.has(name); again += 1) name = `${key} ${again}`;
      named.set(name, row);
    }
    return named;
  }

  #showEmpty(isEmpty) {
    if (this.empty === null) return;
    if (!isEmpty) this.empty.remove();
    else if (!this.empty.isConnected) this.parent.append(this.empty);
  }
}

function above(parent) {
  return parent.closest("details")?.querySelector("summary") ?? parent.closest("section")?.querySelector("h2");
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) setAttribute(node, name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
