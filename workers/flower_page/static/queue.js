/** One queue of a provider: what waits, who works, how long it takes to drain; paused and resumed here. */

import { button, el, setAttribute, setShown, setText } from "./dom.js";
import { Figures } from "./figures.js";
import { NOTHING, span } from "./words.js";

const FIGURES = { depth: "Waiting", oldest: "Oldest", workers: "Workers", drain: "Drains in" };

export class Queue {
  #row = null;

  constructor(row, actions) {
    this.name = el("h4", { class: "us-queue-name" });
    this.paused = el("p", { class: "us-tag", "data-tone": "warn" });
    const named = (verb) => ({ "aria-label": `${verb} the queue ${row.name}` });
    this.pause = actions.guard(button("Pause…", () => actions.pause(this.#row), named("Pause")));
    this.resume = actions.guard(button("Resume…", () => actions.resume(this.#row), named("Resume")));
    this.figures = new Figures(FIGURES, "us-queue-figures");
    this.root = el(
      "li",
      { class: "us-queue" },
      el("div", { class: "us-queue-head" }, this.name, this.pause, this.resume),
      this.paused,
      this.figures.root,
    );
  }

  show(row) {
    this.#row = row;
    const isPaused = row.paused_ms > 0;
    setText(this.name, row.name);
    setShown(this.paused, isPaused);
    setText(this.paused, [`Paused for ${span(row.paused_ms)}`, row.paused_why].filter(Boolean).join(": "));
    const [offered, other] = isPaused ? [this.resume, this.pause] : [this.pause, this.resume];
    setShown(offered, true);
    setShown(other, false, offered);
    setAttribute(this.root, "data-paused", isPaused);
    this.figures.show({
      depth: { value: row.depth.toLocaleString("en-US") },
      oldest: { value: row.depth ? span(row.oldest_ms) : NOTHING },
      workers: workersOf(row),
      drain: { value: row.depth ? drainOf(row) : NOTHING },
    });
  }
}

function workersOf(row) {
  if (!row.workers) return { value: "none", tone: row.depth ? "bad" : null };
  return { value: row.workers.toLocaleString("en-US"), note: `${row.concurrency.toLocaleString("en-US")} at once` };
}

function drainOf(row) {
  return row.drain_ms === null ? "not known" : span(row.drain_ms);
}
