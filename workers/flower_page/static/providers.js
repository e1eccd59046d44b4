/** The page Providers: wires its parts once, then shows each answer in them. */

import { Actions } from "./actions.js";
import { readAll } from "./api.js";
import { Audit } from "./audit.js";
import { Card } from "./card.js";
import { Causes } from "./causes.js";
import { Clock } from "./clock.js";
import { Confirmation } from "./confirmation.js";
import { Parts, setAttribute, setShown, setText } from "./dom.js";
import { Fallbacks } from "./fallbacks.js";
import { Feed } from "./feed.js";
import { Headline } from "./headline.js";
import { Jobs } from "./jobs.js";
import { Lookup } from "./lookup.js";
import { Money } from "./money.js";
import { Notice } from "./notice.js";
import { time } from "./words.js";

// Countdowns show whole seconds; twice as often, none is seen to be skipped.
const TICK_MS = 500;

const at = (id) => document.getElementById(`us-${id}`);

const clock = new Clock();
const notice = new Notice(at("notice"));
const actions = new Actions({ confirmation: new Confirmation(), notice, changed: () => changed() });
const parts = { actions, clock };

const headline = new Headline(at("headline"));
const cards = new Parts(at("cards"), {
  key: (provider) => provider.name,
  make: (provider) => new Card(provider, parts),
  empty: "No provider is configured.",
});
const lookup = new Lookup(parts);
const causes = new Causes(at("causes"), parts);
const jobs = new Jobs(at("jobs"));
const money = new Money(at("money"));
const fallbacks = new Fallbacks(at("fallbacks"), parts);
const audit = new Audit(at("audit"), parts);
const feed = new Feed(readAll, { onAnswer: show, onError: showStale });

let read_ms = null;

function show(all) {
  clock.set(all.now);
  read_ms = all.now;
  headline.show(all);
  cards.show(all.providers);
  money.show(all.money);
  fallbacks.show(all.fallbacks);
  causes.show(all.causes);
  jobs.show(all.jobs);
  audit.show(all.audit);
  lookup.refresh();
  actions.allow(all.may_act ? "" : all.why_not);
  setText(at("read-only"), all.may_act ? "" : `Read only. ${all.why_not}`);
  setShown(at("read-only"), !all.may_act);
  setText(at("live-words"), all.who ? `Live, signed in as ${all.who}` : "Live");
  setStale("");
}

/** What was read stays, greyed, with the reason above it. */
function showStale(error) {
  const read = read_ms === null ? "Nothing has been read yet." : `This is of ${time(read_ms, clock.now())}.`;
  actions.allow(`${error.message} Nothing can be done until it is back.`);
  setText(at("live-words"), "Not up to date");
  setStale(`${error.message} ${read}`);
}

function setStale(words) {
  const stale = words !== "";
  setAttribute(at("page"), "data-state", stale ? "stale" : "live");
  at("live-dot").className = stale ? "status-dot status-dot-error" : "status-dot status-dot-live";
  setText(at("stale"), words);
  setShown(at("stale"), stale);
}

function changed() {
  feed.refresh();
  lookup.refresh({ ended: true });
}

setInterval(() => {
  if (document.hidden) return;
  for (const card of cards) card.tick();
  lookup.tick();
}, TICK_MS);

feed.refresh();
lookup.start();
