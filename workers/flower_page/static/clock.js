/** Redis's time, as the last answer told it, carried on by a clock that nobody sets. */

export class Clock {
  #told = Date.now();
  #at = performance.now();

  /** Takes over the time of an answer. */
  set(ms) {
    this.#told = ms;
    this.#at = performance.now();
  }

  /** Redis milliseconds now. */
  now() {
    return this.#told + (performance.now() - this.#at);
  }
}
