/** A bar that is filled as far as something is. */

import { el } from "./dom.js";

/** The bar's room, with what it is called; `bar` is what fills it. */
export function meter(attributes, bar) {
  return el("div", { class: "us-meter", "aria-valuemin": 0, "aria-valuemax": 100, ...attributes }, bar);
}
