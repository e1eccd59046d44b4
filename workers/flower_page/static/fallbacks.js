/** Calls that moved from one provider to another, newest first, each with the reason. */

import { Parts, el } from "./dom.js";
import { Moment, callLink } from "./moment.js";
import { spoken } from "./words.js";

export class Fallbacks {
  constructor(parent, { clock }) {
    this.parts = new Parts(parent, {
      key: (row) => `${row.at_ms} ${row.call} ${row.from} ${row.to}`,
      make: (row) => new Fallback(row, clock),
      empty: "No call has moved to another provider.",
    });
  }

  show(rows) {
    this.parts.show(rows);
  }
}

class Fallback {
  constructor(row, clock) {
    this.clock = clock;
    this.at = new Moment();
    const to = el("span", { class: "us-arrow" }, " to ");
    const way = el("span", { class: "us-way" }, row.from || "nowhere", to, row.to || "nowhere");
    this.root = el(
      "li",
      { class: "us-row" },
      el("span", { class: "us-row-main" }, this.at.root, way, el("span", { class: "us-muted" }, spoken(row.kind))),
      el("span", { class: "us-row-foot" }, el("span", { class: "us-row-why" }, row.why), callLink(row.call)),
    );
  }

  show(row) {
    this.at.show(row.at_ms, this.clock.now());
  }
}
