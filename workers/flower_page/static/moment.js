/** A time of day that tells its date where it is pointed at. */

import { el, setAttribute, setText } from "./dom.js";
import { fullTime, time } from "./words.js";

export class Moment {
  constructor(className = "us-moment") {
    this.root = el("time", { class: className });
  }

  show(ms, now) {
    setText(this.root, time(ms, now));
    setAttribute(this.root, "datetime", new Date(ms).toISOString());
    setAttribute(this.root, "title", fullTime(ms));
  }
}

/** A link that looks a call up on this page. */
export function callLink(id) {
  return el("a", { class: "us-call-link", href: `#call=${encodeURIComponent(id)}` }, id);
}
