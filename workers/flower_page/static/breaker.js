/** A breaker's state as a sign and in words: colour is never the only difference. */

import { el, setAttribute, setText, svg } from "./dom.js";
import { coarse, time } from "./words.js";

const STATES = {
  closed: { tone: "good", words: "Closed", about: "takes calls" },
  half_open: { tone: "warn", words: "Half-open", about: "tried with few calls" },
  open: { tone: "bad", words: "Open", about: "takes no calls" },
};
const UNKNOWN = { tone: "plain", words: "Unknown", about: "" };

/** How a state looks and is called. */
export function stateOf(breaker) {
  return STATES[breaker] ?? UNKNOWN;
}

/** A round sign: filled with a tick, half filled, or crossed. */
export function sign(tone) {
  const drawing = svg("svg", { class: "us-sign", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" });
  const marks = {
    good: [svg("circle", { cx: 8, cy: 8, r: 7, class: "us-sign-fill" }), mark("M4.6 8.3l2.3 2.3 4.5-4.9")],
    warn: [svg("circle", { cx: 8, cy: 8, r: 6.2, class: "us-sign-ring" }), half()],
    bad: [svg("circle", { cx: 8, cy: 8, r: 7, class: "us-sign-fill" }), mark("M5.3 5.3l5.4 5.4M10.7 5.3l-5.4 5.4")],
    plain: [svg("circle", { cx: 8, cy: 8, r: 6.2, class: "us-sign-ring" }), svg("circle", { cx: 8, cy: 8, r: 2.4 })],
  };
  drawing.append(...(marks[tone] ?? marks.plain));
  return drawing;
}

/** The state of a provider's breaker: which, since when, why, and the next try counted down. */
export class BreakerState {
  #tone = null;
  #row = null;

  constructor(clock) {
    this.clock = clock;
    this.words = el("strong");
    this.about = el("span", { class: "us-muted" });
    this.badge = el("p", { class: "us-breaker" }, this.words, this.about);
    this.why = el("p", { class: "us-breaker-why" });
    this.since = el("time");
    this.sinceLine = el("p", { class: "us-breaker-since us-muted" }, this.since);
    this.next = el("strong", { class: "us-countdown" });
    this.nextAt = el("time", { class: "us-muted" });
    this.nextLine = el("p", { class: "us-breaker-next" }, "Next try ", this.next, " ", this.nextAt);
    this.root = el("div", { class: "us-state" }, this.badge, this.why, this.nextLine, this.sinceLine);
  }

  show(row) {
    this.#row = row;
    const state = stateOf(row.breaker);
    if (this.#tone !== state.tone) {
      this.#tone = state.tone;
      this.badge.querySelector("svg")?.remove();
      this.badge.prepend(sign(state.tone));
    }
    setAttribute(this.root, "data-tone", state.tone);
    setText(this.words, state.words);
    setText(this.about, state.about);
    setText(this.why, row.why ? `Why: ${row.why}` : "");
    this.why.hidden = !row.why || row.breaker === "closed";
    this.sinceLine.hidden = row.since_ms === null;
    this.nextLine.hidden = row.breaker === "closed" || row.next_try_ms === null;
    this.tick();
  }

  /** Counts on, between two answers. */
  tick() {
    if (this.#row === null) return;
    const { since_ms, next_try_ms } = this.#row;
    const now = this.clock.now();
    if (since_ms !== null) {
      setText(this.since, `since ${time(since_ms, now)} (${coarse(now - since_ms)})`);
      setAttribute(this.since, "datetime", new Date(since_ms).toISOString());
    }
    if (next_try_ms !== null) {
      setText(this.next, next_try_ms > now ? `in ${coarse(next_try_ms - now)}` : "now");
      setText(this.nextAt, `at ${time(next_try_ms, now)}`);
      setAttribute(this.nextAt, "datetime", new Date(next_try_ms).toISOString());
    }
  }
}

function mark(path) {
  return svg("path", { d: path, class: "us-sign-mark" });
}

function half() {
  return svg("path", { d: "M8 1.8a6.2 6.2 0 0 1 0 12.4z", class: "us-sign-fill" });
}
