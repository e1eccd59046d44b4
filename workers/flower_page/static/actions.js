/** What an operator can do, each in words before it is done; and who may do it. */

import { readCall, readCause } from "./api.js";
import { setAttribute } from "./dom.js";
import { count, dollars } from "./words.js";

export class Actions {
  #guarded = new Set();
  #why_not = "Nothing has been read yet.";

  constructor({ confirmation, notice, changed }) {
    this.confirmation = confirmation;
    this.notice = notice;
    this.changed = changed;
  }

  /** Lets the buttons act, or says with each why not; an empty reason lets them. */
  allow(why_not) {
    this.#why_not = why_not;
    for (const reference of this.#guarded) {
      const each = reference.deref();
      if (each === undefined) this.#guarded.delete(reference);
      else this.#mark(each);
    }
  }

  /** A button that acts: one that may not stays where the keyboard reaches it, and tells why. */
  guard(each) {
    this.#guarded.add(new WeakRef(each));
    this.#mark(each);
    each.addEventListener(
      "click",
      (event) => {
        if (!this.#why_not) return;
        event.stopImmediatePropagation();
        this.notice.say(this.#why_not);
      },
      { capture: true },
    );
    return each;
  }

  force({ name }) {
    this.#ask({
      title: `Force ${name}?`,
      says: [`${name} comes first for every call, but never past a call's own policy.`, "Only one is forced at once."],
      verb: "Force",
      timed: true,
      request: { action: "force", provider: name },
    });
  }

  unforce({ name }) {
    this.#ask({
      title: `Unforce ${name}?`,
      says: ["The configured order holds again."],
      verb: "Unforce",
      request: { action: "unforce" },
    });
  }

  clear({ name }) {
    this.#ask({
      title: `Clear the health of ${name}?`,
      says: [
        "Its breaker closes; pauses of its queues and a preferred fallback are forgotten. What was forced stays so.",
        "If it is still ill, the breaker opens again after some calls have failed on it.",
      ],
      verb: "Clear",
      request: { action: "clear", provider: name },
    });
  }

  pause({ name, depth }) {
    this.#ask({
      title: `Pause the queue ${name}?`,
      says: [
        "Its workers take no further calls; those that run go on. What may go to another provider does.",
        `${count(depth, "call")} in it now.`,
      ],
      verb: "Pause",
      timed: true,
      request: { action: "pause", queue: name },
    });
  }

  resume({ name, depth }) {
    this.#ask({
      title: `Resume the queue ${name}?`,
      says: [`Its workers take calls again. ${count(depth, "call")} in it now.`],
      verb: "Resume",
      request: { action: "resume", queue: name },
    });
  }

  cancel({ id }) {
    this.#ask({
      title: "Cancel this call?",
      says: [`${id} ends without an answer; who waits for it is told so.`],
      verb: "Cancel the call",
      request: { action: "cancel", call: id },
    });
  }

  retry({ id }) {
    this.#ask({
      title: "Run this call again?",
      says: readCall(id).then((call) => ["1 call runs again, from its beginning.", cost(call.worst_microusd)]),
      verb: "Run again",
      request: { action: "retry", call: id },
    });
  }

  retryCause({ reason }) {
    const request = { action: "retry_cause", reason };
    this.#ask({
      title: "Run all of these calls again?",
      says: readCause(reason, { cost: true }).then((cause) => {
        request.before_ms = cause.before_ms; // those that are confirmed, and none that fail meanwhile
        return [
          `${count(cause.total, "call")} that failed (${cause.words}) will run again, from the beginning.`,
          cost(cause.worst_microusd),
        ];
      }),
      verb: "Run all again",
      request,
    });
  }

  #ask(question) {
    this.confirmation.ask({
      ...question,
      failed: (sentence) => this.notice.say(sentence),
      done: (sentence) => {
        this.notice.say(sentence);
        this.changed();
      },
    });
  }

  #mark(each) {
    setAttribute(each, "aria-disabled", this.#why_not ? "true" : null);
    setAttribute(each, "title", this.#why_not || null);
  }
}

function cost(microusd) {
  if (microusd === undefined) return "What it costs at most is not known.";
  return microusd > 0 ? `At most this costs ${dollars(microusd)}.` : "It costs nothing: no paid provider may answer.";
}
