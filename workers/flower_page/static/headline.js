/** The first thing to read: what is not as it should be, in a sentence each. */

import { sign } from "./breaker.js";
import { Parts, el } from "./dom.js";
import { count } from "./words.js";

export class Headline {
  constructor(root) {
    this.parts = new Parts(root, { key: (line) => `${line.tone} ${line.words}`, make: (line) => new Line(line) });
  }

  show(all) {
    this.parts.show(headline(all));
  }
}

/** The lines for what was read, worst first; times are left out, so that a line is read out once. */
function headline({ providers }) {
  const lines = [ofBreaker, ofQueues, ofForce].flatMap((of) => providers.flatMap(of));
  const open = providers.filter((provider) => provider.breaker === "open");
  const none = open.length > 0 && open.length === providers.length;
  if (none) lines.unshift({ tone: "bad", words: "No provider takes calls." });
  const rank = ["bad", "warn", "plain"];
  lines.sort((one, other) => rank.indexOf(one.tone) - rank.indexOf(other.tone));
  if (lines.some((line) => line.tone !== "plain")) return lines;
  return [{ tone: "good", words: "All providers take calls." }, ...lines];
}

function ofBreaker({ name, breaker, why }) {
  const because = why ? `: ${why}` : "";
  if (breaker === "open") return [{ tone: "bad", words: `${name} is open${because}.` }];
  if (breaker !== "half_open") return [];
  return [{ tone: "warn", words: `${name} is half-open, tried with few calls${because}.` }];
}

function ofQueues({ queues }) {
  const lines = [];
  for (const { name, depth, workers, paused_ms, paused_why } of queues) {
    const because = paused_why ? `: ${paused_why}` : "";
    if (paused_ms > 0) lines.push({ tone: "warn", words: `The queue ${name} is paused${because}.` });
    if (workers > 0 || depth === 0) continue;
    lines.push({ tone: "bad", words: `${count(depth, "call")} in the queue ${name}, and no worker takes them.` });
  }
  return lines;
}

function ofForce({ name, forced }) {
  return forced === null ? [] : [{ tone: "plain", words: `${name} is forced by ${forced.who}: ${forced.why}` }];
}

class Line {
  constructor({ tone, words }) {
    this.root = el("li", { "data-tone": tone }, sign(tone), el("span", {}, words));
  }

  show() {}
}
