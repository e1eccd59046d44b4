/** Named values side by side: a term, its value, and a smaller word beneath. */

import { el, setAttribute, setText } from "./dom.js";

export class Figures {
  #cells = new Map();

  /** `names` maps what `show` is given to what people read. */
  constructor(names, className = "us-figures") {
    this.root = el("dl", { class: className });
    for (const [name, words] of Object.entries(names)) {
      const value = el("dd", { class: "us-figure-value" });
      const note = el("dd", { class: "us-figure-note" });
      const cell = el("div", { class: "us-figure-cell" }, el("dt", {}, words), value, note);
      this.#cells.set(name, { cell, value, note });
      this.root.append(cell);
    }
  }

  /** Shows `{name: {value, note, tone}}`. */
  show(figures) {
    for (const [name, { value, note = "", tone = null }] of Object.entries(figures)) {
      const found = this.#cells.get(name);
      setText(found.value, value);
      setText(found.note, note);
      found.note.hidden = note === "";
      setAttribute(found.cell, "data-tone", tone);
    }
  }
}
