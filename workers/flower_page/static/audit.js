/** What operators did: when, who, what and why; newest first. */

import { Parts, el } from "./dom.js";
import { Moment } from "./moment.js";

export class Audit {
  constructor(parent, { clock }) {
    this.parts = new Parts(parent, {
      key: (row) => `${row.at_ms} ${row.who} ${row.what}`,
      make: (row) => new Entry(row, clock),
      empty: "Nobody has done anything yet.",
    });
  }

  show(rows) {
    this.parts.show(rows);
  }
}

class Entry {
  constructor(row, clock) {
    this.clock = clock;
    this.at = new Moment();
    this.root = el(
      "li",
      { class: "us-row" },
      el("span", { class: "us-row-main" }, this.at.root, el("strong", {}, row.who), el("span", {}, row.what)),
      row.why ? el("span", { class: "us-row-why" }, row.why) : null,
    );
  }

  show(row) {
    this.at.show(row.at_ms, this.clock.now());
  }
}
