/** Small plots of the last minutes: what was answered and failed, and how long answers took. */

import { el, setAttribute, setText, svg } from "./dom.js";
import { NOTHING, count, span, time } from "./words.js";

const WIDTH = 150;
const HEIGHT = 40;
const GAP = 2;
const ROOM = 2;

/** A drawing with a title, its largest value, and the time below it. */
class Plot {
  constructor(title) {
    this.top = el("span", { class: "us-plot-top" });
    const room = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none" };
    this.drawing = svg("svg", { class: "us-plot", role: "img", ...room });
    this.from = el("span");
    this.legend = el("span", { class: "us-plot-legend" });
    this.root = el(
      "figure",
      { class: "us-figure" },
      el("figcaption", { class: "us-plot-head" }, el("span", {}, title), this.top),
      this.drawing,
      el("div", { class: "us-plot-axis", "aria-hidden": "true" }, this.from, this.legend, el("span", {}, "now")),
    );
  }

  put(series, summary, top, marks) {
    setText(this.from, `${series.length} min ago`);
    setText(this.top, top);
    setAttribute(this.drawing, "aria-label", summary);
    this.drawing.replaceChildren(...marks);
  }
}

/** Calls a minute: answered ones grow up from the line, failed ones down. */
export class CallsPlot {
  constructor() {
    this.plot = new Plot("Calls a minute");
    this.root = this.plot.root;
  }

  show(series, now) {
    if (!differs(this, series)) return;
    const up = Math.max(0, ...series.map((minute) => minute.answered));
    const down = Math.max(0, ...series.map((minute) => minute.failed));
    const scale = (HEIGHT - 2 * ROOM) / Math.max(1, up + down);
    const line = up + down ? ROOM + up * scale : HEIGHT - ROOM;
    const step = WIDTH / series.length;
    const marks = [svg("line", { class: "us-plot-line", x1: 0, x2: WIDTH, y1: line, y2: line })];
    series.forEach((minute, index) => {
      const place = { x: index * step + GAP / 2, width: step - GAP };
      const above = minute.answered * scale;
      marks.push(
        svg("g", {},
          svg("title", {}, `${time(minute.at_ms, now)}: ${minute.answered} answered, ${minute.failed} failed`),
          svg("rect", { class: "us-bar-room", x: index * step, width: step, y: 0, height: HEIGHT }),
          svg("rect", { class: "us-bar-good", ...place, y: line - above, height: above }),
          svg("rect", { class: "us-bar-bad", ...place, y: line, height: minute.failed * scale }),
        ),
      );
    });
    const answered = sum(series, "answered");
    const failed = sum(series, "failed");
    const summary = [
      `Calls in each of the last ${count(series.length, "minute")}: ${answered} answered, ${failed} failed,`,
      `at most ${up} answered in a minute.`,
    ].join(" ");
    setText(this.plot.legend, failed ? "below: failed" : "");
    this.plot.put(series, summary, up + down ? `max ${up}` : "none", marks);
  }
}

/** The median answer time of each minute; a minute without answers leaves a gap. */
export class TimesPlot {
  constructor() {
    this.plot = new Plot("Answer p50");
    this.root = this.plot.root;
  }

  show(series, now) {
    if (!differs(this, series)) return;
    const known = series.map((minute) => minute.p50_ms).filter((ms) => ms !== null);
    const top = Math.max(1, ...known);
    const step = WIDTH / series.length;
    const at = (index) => (index + 0.5) * step;
    const height = (ms) => HEIGHT - ROOM - (ms / top) * (HEIGHT - 4 * ROOM);
    const marks = [svg("line", { class: "us-plot-line", x1: 0, x2: WIDTH, y1: HEIGHT - ROOM, y2: HEIGHT - ROOM })];
    for (const run of runs(series)) {
      const points = run.map(([index, ms]) => `${at(index)},${height(ms)}`);
      // A point alone is a short dash, since the drawing is stretched and a dot would not stay round.
      if (run.length === 1) points.push(`${at(run[0][0]) + 1},${height(run[0][1])}`);
      marks.push(svg("polyline", { class: "us-plot-curve", points: points.join(" ") }));
    }
    series.forEach(({ at_ms, p50_ms }, index) => {
      marks.push(
        svg("g", {},
          svg("title", {}, `${time(at_ms, now)}: ${p50_ms === null ? "no answers" : span(p50_ms)}`),
          svg("rect", { class: "us-bar-room", x: index * step, width: step, y: 0, height: HEIGHT }),
        ),
      );
    });
    const last = known.length ? known[known.length - 1] : null;
    const summary = known.length
      ? `Median answer time of each minute: between ${span(Math.min(...known))} and ${span(top)}, last ${span(last)}.`
      : "Median answer time: no answers in these minutes.";
    this.plot.put(series, summary, known.length ? `max ${span(top)}` : NOTHING, marks);
  }
}

function differs(plot, series) {
  const key = JSON.stringify(series);
  if (plot.last === key) return false;
  plot.last = key;
  return series.length > 0;
}

function sum(series, field) {
  return series.reduce((total, minute) => total + minute[field], 0);
}

/** The stretches of minutes that have a value, as pairs of place and value. */
function runs(series) {
  const found = [[]];
  series.forEach(({ p50_ms }, index) => {
    if (p50_ms !== null) found[found.length - 1].push([index, p50_ms]);
    else found.push([]);
  });
  return found.filter((run) => run.length > 0);
}
