/** Asks before anything is done: what will happen, for how long, and why. */

import { act } from "./api.js";
import { el, setShown, setText } from "./dom.js";

export class Confirmation {
  #asked = 0;
  #request = null;
  #done = null;
  #failed = null;
  #opener = null;

  constructor() {
    const find = (name) => document.getElementById(`us-dialog${name}`);
    this.dialog = find("");
    this.title = find("-title");
    this.words = find("-words");
    this.timeField = find("-time");
    this.time = find("-for");
    this.why = find("-why");
    this.error = find("-error");
    this.confirm = find("-confirm");
    find("-cancel").addEventListener("click", () => this.dialog.close());
    find("-form").addEventListener("submit", (event) => this.#submit(event));
    this.dialog.addEventListener("close", () => this.#closed());
  }

  /**
   * Opens the dialog.
   *
   * `says` is a list of sentences, or a promise of one where something must be read first: until then nothing can be
   * confirmed. `request` is what is posted, without its `why` and `for_s`; `done` gets the sentence of the answer, and
   * `failed` what went wrong, where the dialog has been closed meanwhile.
   */
  async ask({ title, says, verb, request, timed = false, done, failed }) {
    const number = (this.#asked += 1);
    this.#request = request;
    this.#done = done;
    this.#failed = failed;
    this.#opener = document.activeElement;
    this.timed = timed;
    this.verb = verb;
    setText(this.title, title);
    setText(this.confirm, verb);
    setText(this.error, "");
    setShown(this.timeField, timed);
    this.why.value = "";
    this.#say(["Reading…"]);
    this.#hold(true);
    this.dialog.showModal();
    this.why.focus();
    try {
      const sentences = await says;
      if (number !== this.#asked) return;
      this.#say(sentences);
      this.#hold(false);
    } catch (error) {
      if (number !== this.#asked) return;
      this.#say([]);
      setText(this.error, error.message);
    }
  }

  #say(sentences) {
    this.words.replaceChildren(...sentences.map((sentence) => el("p", {}, sentence)));
  }

  /** Not `disabled`: that would throw the focus out of the button. */
  #hold(held) {
    this.held = held;
    this.confirm.setAttribute("aria-disabled", String(held));
  }

  async #submit(event) {
    event.preventDefault();
    if (this.held) return;
    const why = this.why.value.trim();
    if (!why) {
      setText(this.error, "Say why: it stands in the audit log.");
      this.why.setAttribute("aria-invalid", "true");
      this.why.focus();
      return;
    }
    this.why.removeAttribute("aria-invalid");
    setText(this.error, "");
    const number = this.#asked;
    this.#hold(true);
    setText(this.confirm, "Working…");
    const time = this.timed ? { for_s: Number(this.time.value) } : {};
    const [done, failed] = [this.#done, this.#failed];
    try {
      const sentence = await act({ ...this.#request, ...time, why });
      if (number === this.#asked) this.dialog.close();
      done(sentence);
    } catch (error) {
      if (number === this.#asked && this.dialog.open) setText(this.error, error.message);
      else failed(error.message);
    }
    if (number !== this.#asked) return;
    setText(this.confirm, this.verb);
    this.#hold(false);
  }

  /** The browser gives the focus back to what opened it, unless that has gone meanwhile. */
  #closed() {
    this.why.removeAttribute("aria-invalid");
    const opener = this.#opener;
    if (opener?.isConnected && opener.checkVisibility()) opener.focus();
    else document.getElementById("us-call-title").focus();
  }
}
