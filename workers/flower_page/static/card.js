/** One provider: its breaker, who prefers it, its figures and plots, its queues, and what can be done about it. */

import { BreakerState, stateOf } from "./breaker.js";
import { Parts, button, el, setAttribute, setShown, setText } from "./dom.js";
import { Figures } from "./figures.js";
import { CallsPlot, TimesPlot } from "./plot.js";
import { Queue } from "./queue.js";
import { NOTHING, percent, span } from "./words.js";

const FIGURES = {
  share: "Share of calls",
  success: "Success",
  times: "Answer p50",
  answered: "Answered",
  failed: "Failed",
  first: "First token p50",
};

export class Card {
  #row = null;

  constructor(row, { actions, clock }) {
    const id = `us-provider-${row.name}`;
    this.clock = clock;
    this.title = el("h2", { class: "us-card-title", id, tabindex: "-1" }, row.name);
    this.model = el("p", { class: "us-card-model us-muted" });
    this.tags = new Parts(el("ul", { class: "us-tags" }), { key: (tag) => tag.words, make: (tag) => new Tag(tag) });
    this.state = new BreakerState(clock);
    this.forced = el("p", { class: "us-forced" });
    this.figures = new Figures(FIGURES);
    this.calls = new CallsPlot();
    this.times = new TimesPlot();
    this.queues = new Parts(el("ul", { class: "us-queues" }), {
      key: (queue) => queue.name,
      make: (queue) => new Queue(queue, actions),
      empty: "No queues.",
    });
    this.root = el(
      "article",
      { class: "us-card", "aria-labelledby": id },
      el(
        "header",
        { class: "us-card-head" },
        el("div", { class: "us-card-name" }, this.title, this.model),
        this.tags.parent,
      ),
      this.state.root,
      this.forced,
      el("h3", { class: "us-card-part" }, "Last 15 minutes"),
      this.figures.root,
      el("div", { class: "us-plots" }, this.calls.root, this.times.root),
      el("h3", { class: "us-card-part" }, "Queues"),
      this.queues.parent,
      this.#buttons(row, actions),
    );
  }

  show(row) {
    this.#row = row;
    setAttribute(this.root, "data-tone", stateOf(row.breaker).tone);
    setText(this.model, row.model);
    this.tags.show(tagsOf(row));
    this.state.show(row);
    this.#showForced(row.forced);
    this.figures.show(figuresOf(row));
    this.calls.show(row.series, this.clock.now());
    this.times.show(row.series, this.clock.now());
    this.queues.show(row.queues);
  }

  tick() {
    this.state.tick();
  }

  #showForced(forced) {
    setShown(this.forced, forced !== null);
    setText(this.forced, forced === null ? "" : `Forced by ${forced.who} for ${span(forced.left_ms)}: ${forced.why}`);
    setShown(this.unforce, forced !== null, this.force);
  }

  #buttons(row, actions) {
    const named = (words) => ({ "aria-label": `${words} ${row.name}` });
    this.force = button("Force…", () => actions.force(this.#row), named("Force"));
    this.unforce = button("Unforce…", () => actions.unforce(this.#row), named("Unforce"));
    this.clear = button("Clear…", () => actions.clear(this.#row), named("Clear the health of"));
    const all = [this.force, this.unforce, this.clear];
    all.forEach((each) => actions.guard(each));
    return el("div", { class: "us-card-buttons" }, ...all);
  }
}

/** A word in a box. */
class Tag {
  constructor({ words, tone }) {
    this.root = el("li", { class: "us-tag", "data-tone": tone }, words);
  }

  show() {}
}

function tagsOf(row) {
  const found = [
    row.forced && { words: "Forced", tone: "accent" },
    row.preferred && { words: "Preferred", tone: "accent" },
    row.local && { words: "Local", tone: "plain" },
    row.paid ? { words: "Paid", tone: "plain" } : { words: "Free", tone: "plain" },
  ];
  return found.filter(Boolean);
}

function figuresOf(row) {
  const none = row.answered + row.failed === 0;
  const p95 = (ms) => (ms === null ? "" : `p95 ${span(ms)}`);
  return {
    share: { value: percent(row.share), note: none ? "no calls yet" : "" },
    success: { value: percent(row.success) },
    times: { value: span(row.p50_ms), note: p95(row.p95_ms) },
    answered: { value: none ? NOTHING : row.answered.toLocaleString("en-US") },
    failed: { value: none ? NOTHING : row.failed.toLocaleString("en-US"), tone: row.failed ? "bad" : null },
    first: { value: span(row.first_token_p50_ms), note: p95(row.first_token_p95_ms) },
  };
}
