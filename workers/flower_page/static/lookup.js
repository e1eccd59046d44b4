/** Finds a call by its id: from the form, or from an address that ends in `#call=ID`, which can be sent to others. */

import { readCall } from "./api.js";
import { Call } from "./call.js";
import { setText } from "./dom.js";

export class Lookup {
  #asked = 0;
  #shown = 0;
  #id = "";
  #open = false;

  constructor(parts) {
    this.form = document.getElementById("us-lookup");
    this.input = document.getElementById("us-call-id");
    this.note = document.getElementById("us-call-note");
    this.place = document.getElementById("us-call");
    this.call = new Call(parts);
    this.form.addEventListener("submit", (event) => this.#submitted(event));
    window.addEventListener("hashchange", () => this.#followed());
  }

  /** Looks up what the address names, if anything. */
  start() {
    if (this.#named()) this.#followed();
  }

  /** Reads the call again that is shown, while it can still change; after an action also one that has ended. */
  refresh({ ended = false } = {}) {
    if (this.#id && (this.#open || ended)) this.#read();
  }

  tick() {
    this.call.tick();
  }

  #submitted(event) {
    event.preventDefault();
    const id = this.input.value.trim();
    const address = `#call=${encodeURIComponent(id)}`;
    if (location.hash === address) this.#look(id);
    else location.hash = address;
  }

  #followed() {
    const id = this.#named();
    if (!id) return;
    this.input.value = id;
    this.#look(id);
    // Who typed the id stays in the form; who followed a link is taken to what it shows.
    if (this.form.contains(document.activeElement)) return;
    this.call.heading.focus({ preventScroll: true });
    this.call.heading.scrollIntoView({ block: "start" });
  }

  #named() {
    const found = /^#call=(.+)$/.exec(location.hash);
    if (found === null) return "";
    try {
      return decodeURIComponent(found[1]);
    } catch {
      return found[1];
    }
  }

  #look(id) {
    if (id !== this.#id) this.place.replaceChildren();
    this.#id = id;
    setText(this.note, "Looking…");
    this.#read();
  }

  async #read() {
    const number = (this.#asked += 1);
    const id = this.#id;
    let call = null;
    let problem = "";
    try {
      call = await readCall(id);
    } catch (error) {
      problem = error.message;
      this.missing = error.status === 404;
    }
    // A late answer, or one about a call that nobody asks for any more.
    if (number < this.#shown || id !== this.#id) return;
    this.#shown = number;
    setText(this.note, problem);
    this.#open = call === null ? this.#open && !this.missing : call.ended_ms === null;
    if (call === null) {
      if (this.missing) this.place.replaceChildren();
      return;
    }
    this.call.show(call);
    if (!this.call.root.isConnected) this.place.replaceChildren(this.call.root);
  }
}
