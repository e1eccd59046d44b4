/** What was spent, and how much of each budget that is. */

import { Parts, el, setAttribute, setText } from "./dom.js";
import { Figures } from "./figures.js";
import { meter } from "./meter.js";
import { dollars, percent } from "./words.js";

const NEARLY = 0.8;

export class Money {
  constructor(parent) {
    this.figures = new Figures({ day: "Today (UTC)", month: "This month" }, "us-figures us-spent");
    this.budgets = new Parts(el("ul", { class: "us-list us-budgets" }), {
      key: (budget) => budget.name,
      make: (budget) => new Budget(budget),
      empty: "No budget is set.",
    });
    parent.append(this.figures.root, this.budgets.parent);
  }

  show({ day_microusd, month_microusd, budgets }) {
    this.figures.show({ day: { value: dollars(day_microusd) }, month: { value: dollars(month_microusd) } });
    this.budgets.show(budgets);
  }
}

class Budget {
  constructor({ name }) {
    this.words = el("span", { class: "us-budget-words" });
    this.bar = el("span", { class: "us-meter-bar" });
    this.meter = meter({ role: "meter", "aria-label": `Budget ${name}` }, this.bar);
    const head = el("div", { class: "us-budget-head" }, el("span", { class: "us-budget-name" }, name), this.words);
    this.root = el("li", { class: "us-budget" }, head, this.meter);
  }

  show({ used_microusd, limit_microusd }) {
    const share = limit_microusd > 0 ? used_microusd / limit_microusd : 1;
    const state = share >= 1 ? "used up" : share >= NEARLY ? "nearly used up" : "";
    const how = [percent(share), state].filter(Boolean).join(", ");
    const words = `${dollars(used_microusd)} of ${dollars(limit_microusd)} (${how})`;
    setText(this.words, words);
    setAttribute(this.root, "data-tone", share >= 1 ? "bad" : share >= NEARLY ? "warn" : "plain");
    setAttribute(this.meter, "aria-valuenow", Math.min(100, Math.round(share * 100)));
    setAttribute(this.meter, "aria-valuetext", words);
    this.bar.style.width = `${Math.min(100, share * 100)}%`;
  }
}
