/** Failed and quarantined calls by what ended them; one that is opened lists its calls. */

import { readCause } from "./api.js";
import { Parts, button, el, setShown, setText } from "./dom.js";
import { Moment, callLink } from "./moment.js";
import { count, dollars, spoken } from "./words.js";

export class Causes {
  constructor(parent, { actions, clock }) {
    this.parts = new Parts(parent, {
      key: (cause) => cause.reason,
      make: () => new Cause(actions, clock),
      empty: "No call has failed in the last day.",
    });
  }

  show(causes) {
    this.parts.show(causes);
  }
}

class Cause {
  #read = "";
  #asked = 0;
  #row = null;

  constructor(actions, clock) {
    this.clock = clock;
    this.words = el("span", { class: "us-cause-words" });
    this.number = el("span", { class: "us-cause-calls" });
    this.latest = new Moment("us-moment us-muted");
    this.note = el("p", { class: "us-note us-muted" });
    this.all = actions.guard(button("Run all again…", () => actions.retryCause(this.#row)));
    this.calls = new Parts(el("ul", { class: "us-list" }), {
      key: (call) => call.id,
      make: (call) => new EndedCall(call, actions, clock),
    });
    this.root = el(
      "details",
      { class: "us-cause" },
      el("summary", {}, this.words, this.number, this.latest.root),
      el(
        "div",
        { class: "us-cause-open" },
        el("div", { class: "us-cause-head" }, this.note, this.all),
        this.calls.parent,
      ),
    );
    this.root.addEventListener("toggle", () => this.#load());
  }

  show(row) {
    this.#row = row;
    setText(this.words, row.words);
    setText(this.number, count(row.calls, "call"));
    this.latest.show(row.latest_ms, this.clock.now());
    this.#load();
  }

  /** Reads the calls where they are seen and may have changed. */
  async #load() {
    const version = `${this.#row.calls} ${this.#row.latest_ms}`;
    if (!this.root.open || version === this.#read) return;
    this.#read = version;
    const number = (this.#asked += 1);
    try {
      const cause = await readCause(this.#row.reason);
      if (number !== this.#asked) return;
      this.calls.show(cause.calls);
      setText(this.note, noteOf(cause));
      setText(this.all, `Run all ${cause.total.toLocaleString("en-US")} again…`);
      setShown(this.all, cause.total > 0);
    } catch (error) {
      if (number !== this.#asked) return;
      this.#read = "";
      setText(this.note, error.message);
    }
  }
}

class EndedCall {
  #row = null;

  constructor(row, actions, clock) {
    this.clock = clock;
    this.facts = el("span", { class: "us-row-facts us-muted" });
    this.ended = new Moment();
    const named = { "aria-label": `Run ${row.id} again` };
    const again = actions.guard(button("Run again…", () => actions.retry(this.#row), named));
    this.root = el(
      "li",
      { class: "us-row us-ended" },
      el("span", { class: "us-row-main" }, this.ended.root, callLink(row.id)),
      this.facts,
      again,
    );
  }

  show(row) {
    this.#row = row;
    this.ended.show(row.ended_ms, this.clock.now());
    const facts = [spoken(row.kind), row.provider, count(row.attempts, "attempt"), dollars(row.cost_microusd)];
    setText(this.facts, facts.filter(Boolean).join(" · "));
  }
}

function noteOf({ calls, total }) {
  if (total === 0) return "None are left.";
  return calls.length < total ? `The latest ${calls.length} of ${total.toLocaleString("en-US")}.` : "";
}
