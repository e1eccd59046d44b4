/** What was just done, said once and read out; it goes by itself, unless somebody is reading it. */

import { button, el } from "./dom.js";

const STAYS_MS = 10_000;

export class Notice {
  #timer = null;

  constructor(root) {
    this.root = root;
    this.root.addEventListener("pointerenter", () => clearTimeout(this.#timer));
    this.root.addEventListener("focusin", () => clearTimeout(this.#timer));
    this.root.addEventListener("pointerleave", () => this.#later());
    this.root.addEventListener("focusout", () => this.#later());
  }

  say(words) {
    this.root.replaceChildren(el("p", {}, words), button("Close", () => this.#clear()));
    this.#later();
  }

  #clear() {
    clearTimeout(this.#timer);
    this.root.replaceChildren();
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#clear(), STAYS_MS);
  }
}
