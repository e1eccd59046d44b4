/** One call, looked up by its id: where it stands, why it waits, and a waterfall of its attempts. */

import { Parts, button, el, setAttribute, setShown, setText } from "./dom.js";
import { Figures } from "./figures.js";
import { Waterfall } from "./waterfall.js";
import { capital, coarse, dollars, span, spoken, time } from "./words.js";

const TONES = { done: "good", failed: "bad", cancelled: "plain", running: "accent" };
const FACTS = { provider: "Provider", opened: "Opened", deadline: "Deadline", took: "Took", cost: "Cost" };

export class Call {
  #row = null;

  constructor({ actions, clock }) {
    this.clock = clock;
    this.heading = document.getElementById("us-call-title");
    this.kind = el("strong");
    this.state = el("span", { class: "us-tag" });
    this.id = el("code", { class: "us-id" });
    this.waits = new Parts(el("ul", { class: "us-waits" }), {
      key: (words) => words,
      make: (words) => new Reason(words),
    });
    this.facts = new Figures(FACTS, "us-facts");
    this.waterfall = new Waterfall();
    const named = (name) => ({ "aria-label": name });
    this.cancel = actions.guard(button("Cancel…", () => actions.cancel(this.#row), named("Cancel this call")));
    this.retry = actions.guard(button("Run again…", () => actions.retry(this.#row), named("Run this call again")));
    this.root = el(
      "article",
      { class: "us-call", "aria-label": "The call" },
      el("p", { class: "us-call-head" }, this.kind, this.state, this.id),
      this.waits.parent,
      this.facts.root,
      this.waterfall.root,
      el("div", { class: "us-card-buttons" }, this.cancel, this.retry),
    );
  }

  show(row) {
    this.#row = row;
    setText(this.kind, capital(spoken(row.kind)));
    setText(this.state, spoken(row.state));
    setAttribute(this.state, "data-tone", TONES[row.state] ?? "warn");
    setText(this.id, row.id);
    this.waits.show(reasonsOf(row));
    this.waterfall.show(row.bars);
    const isOpen = row.ended_ms === null;
    const again = !isOpen && row.state !== "done";
    if (again) setShown(this.retry, true);
    setShown(this.cancel, isOpen, again ? this.retry : this.heading);
    if (!again) setShown(this.retry, false, isOpen ? this.cancel : this.heading);
    this.tick();
  }

  tick() {
    if (this.#row === null) return;
    const row = this.#row;
    const now = this.clock.now();
    const ended = row.ended_ms !== null;
    const age = coarse(now - row.created_ms);
    this.facts.show({
      provider: { value: row.provider || "none", note: ended || !row.queue ? "" : `queue ${row.queue}` },
      opened: { value: time(row.created_ms, now), note: `${age} ago` },
      deadline: deadlineOf(row, now),
      took: ended ? { value: span(row.ended_ms - row.created_ms) } : { value: "open", note: age },
      cost: { value: dollars(row.cost_microusd) },
    });
  }
}

class Reason {
  constructor(words) {
    this.root = el("li", {}, words);
  }

  show() {}
}

function reasonsOf({ waits, reason_words }) {
  if (waits.length > 0) return waits;
  return reason_words ? [`${capital(reason_words)}.`] : [];
}

function deadlineOf({ deadline_ms, ended_ms }, now) {
  const value = time(deadline_ms, now);
  if (ended_ms !== null) return { value };
  if (deadline_ms <= now) return { value, note: "passed", tone: "bad" };
  return { value, note: `in ${coarse(deadline_ms - now)}` };
}
