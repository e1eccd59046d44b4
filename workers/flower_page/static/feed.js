/** Reads again and again while the page is seen; an answer that comes late never covers a newer one. */

const EVERY_MS = 1000;
// After that the next one is asked for too; the slow one may still come first.
const PATIENCE_MS = 4000;

export class Feed {
  #asked = 0;
  #shown = 0;
  #timer = null;

  constructor(read, { onAnswer, onError }) {
    this.read = read;
    this.onAnswer = onAnswer;
    this.onError = onError;
    document.addEventListener("visibilitychange", () => this.#seen());
  }

  /** Reads now, and from now on. */
  async refresh() {
    const number = (this.#asked += 1);
    this.#next(PATIENCE_MS);
    let tell;
    try {
      const answer = await this.read();
      tell = () => this.onAnswer(answer);
    } catch (error) {
      tell = () => this.onError(error);
    }
    if (number < this.#shown) return;
    this.#shown = number;
    if (number === this.#asked) this.#next(EVERY_MS);
    tell();
  }

  #seen() {
    if (document.hidden) clearTimeout(this.#timer);
    else this.refresh();
  }

  #next(ms) {
    clearTimeout(this.#timer);
    if (!document.hidden) this.#timer = setTimeout(() => this.refresh(), ms);
  }
}
