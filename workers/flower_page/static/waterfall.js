/** A call's life as bars under each other: where it waited, who was asked, and for how long. */

import { Parts, el, setAttribute, setText } from "./dom.js";
import { span } from "./words.js";

// Narrower ones could not be seen.
const LEAST_SHARE = 0.004;

export class Waterfall {
  constructor() {
    this.end = el("span");
    this.parts = new Parts(el("ol", { class: "us-waterfall" }), {
      key: (bar) => `${bar.label} ${bar.start_ms}`,
      make: () => new Bar(),
      empty: "Nothing has happened to it yet.",
    });
    this.axis = el("div", { class: "us-waterfall-axis", "aria-hidden": "true" }, el("span", {}, "0"), this.end);
    this.root = el("div", {}, this.parts.parent, this.axis);
  }

  show(bars) {
    const total = Math.max(1, ...bars.map((bar) => bar.end_ms));
    this.parts.show(bars.map((bar) => ({ ...bar, total })));
    this.axis.hidden = bars.length === 0;
    setText(this.end, span(total));
  }
}

class Bar {
  constructor() {
    this.label = el("span", { class: "us-bar-label" });
    this.took = el("span", { class: "us-bar-took" });
    this.bar = el("span", { class: "us-bar" });
    this.detail = el("span", { class: "us-bar-detail us-muted" });
    this.root = el(
      "li",
      { class: "us-bar-row" },
      this.label,
      el("span", { class: "us-bar-track", "aria-hidden": "true" }, this.bar),
      this.took,
      this.detail,
    );
  }

  show({ label, what, start_ms, end_ms, detail, total }) {
    setText(this.label, label);
    setText(this.took, end_ms > start_ms ? span(end_ms - start_ms) : `at ${span(end_ms)}`);
    setText(this.detail, detail);
    this.detail.hidden = detail === "";
    setAttribute(this.root, "data-tone", toneOf(what));
    const share = Math.max(LEAST_SHARE, (end_ms - start_ms) / total);
    // Through the object model: an inline style would need a wider policy.
    this.bar.style.left = `${100 * Math.min(start_ms / total, 1 - share)}%`;
    this.bar.style.width = `${100 * share}%`;
  }
}

const WAITS = { queued: "plain", parked: "plain", waited: "plain", handed_back: "plain", shutdown: "plain" };
const TONES = { ...WAITS, running: "accent", answered: "good", done: "good", cancelled: "plain" };

function toneOf(what) {
  return TONES[what] ?? "bad";
}
