/** Batch jobs: how far each is, how many rows it has under way, what it spent. */

import { Parts, el, setAttribute, setShown, setText } from "./dom.js";
import { meter } from "./meter.js";
import { count, dollars, percent, spoken } from "./words.js";

const TONES = { running: "accent", paused: "warn", done: "good", cancelled: "plain" };

export class Jobs {
  constructor(parent) {
    this.parts = new Parts(parent, { key: (job) => job.id, make: (job) => new Job(job), empty: "No jobs." });
  }

  show(jobs) {
    this.parts.show(jobs);
  }
}

class Job {
  constructor({ id, name }) {
    this.state = el("span", { class: "us-tag" });
    this.owner = el("span", { class: "us-muted" });
    this.facts = el("span", { class: "us-row-facts" });
    this.bar = el("span", { class: "us-meter-bar" });
    this.meter = meter({ role: "progressbar", "aria-label": `Progress of ${name || id}` }, this.bar);
    this.root = el(
      "li",
      { class: "us-row us-job" },
      el("span", { class: "us-row-main" }, el("strong", { class: "us-job-name" }, name || id), this.state, this.owner),
      this.facts,
      this.meter,
      name ? el("code", { class: "us-id us-muted" }, id) : null,
    );
  }

  show(job) {
    setText(this.state, spoken(job.state));
    setAttribute(this.state, "data-tone", TONES[job.state] ?? "plain");
    setText(this.owner, job.owner ? `by ${job.owner}` : "");
    const share = job.total ? Math.min(1, job.done / job.total) : null;
    setText(this.facts, factsOf(job, share));
    setShown(this.meter, share !== null);
    setAttribute(this.meter, "aria-valuenow", share === null ? null : Math.round(share * 100));
    this.bar.style.width = `${100 * (share ?? 0)}%`;
  }
}

function factsOf({ done, total, window, spend_microusd, state }, share) {
  const of = total === null ? "done" : `of ${count(total, "row")} (${percent(share)})`;
  const rows = `${total === null ? count(done, "row") : done.toLocaleString("en-US")} ${of}`;
  const busy = state === "running" ? `at most ${window.toLocaleString("en-US")} under way` : "";
  return [rows, busy, `${dollars(spend_microusd)} spent`].filter(Boolean).join(" · ");
}
