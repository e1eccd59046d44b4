/** How values are said: spans, times, money, counts, shares. The same words as in the terminal. */

/** What stands where nothing is known yet. */
export const NOTHING = "–";

const MICRO = 1e6;
const DAY_MS = 86_400_000;
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

/** A span of time, as exact as a reader needs it: `420 ms`, `4.2 s`, `12 s`, `2 min 5 s`, `1 h 3 min`. */
export function span(ms) {
  if (ms === null || ms === undefined) return NOTHING;
  const whole = Math.max(0, Math.round(ms));
  if (whole < 1000) return `${whole} ms`;
  if (whole < 9950) return `${(whole / 1000).toFixed(1)} s`;
  return coarse(whole);
}

/** A span in whole seconds, for what counts by itself. */
export function coarse(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return two(seconds, 60, "min", "s");
  const minutes = Math.round(seconds / 60);
  return minutes < 1440 ? two(minutes, 60, "h", "min") : two(Math.round(minutes / 60), 24, "d", "h");
}

/** The time of day, with the date where it is not today's. */
export function time(ms, now) {
  const clock = CLOCK.format(ms);
  return Math.abs(now - ms) < DAY_MS && DATE.format(ms) === DATE.format(now) ? clock : `${DATE.format(ms)}, ${clock}`;
}

/** The whole date and time. */
export function fullTime(ms) {
  return FULL.format(ms);
}

/** US dollars, with as many digits as say something. */
export function dollars(microusd) {
  if (microusd === null || microusd === undefined) return NOTHING;
  const usd = microusd / MICRO;
  const digits = usd === 0 || usd >= 1 ? 2 : usd >= 0.01 ? 3 : 6;
  return `$${usd.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: digits })}`;
}

/** A share of 1 as per cent; never rounded to none or all of it. */
export function percent(share) {
  if (share === null || share === undefined) return NOTHING;
  const value = share * 100;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  if (value < 100 && value > 99.9) return "> 99.9 %";
  return `${value >= 10 && value < 99 ? Math.round(value) : Math.round(value * 10) / 10} %`;
}

/** A number with its noun: `1 call`, `2 calls`. */
export function count(number, noun) {
  return `${number.toLocaleString("en-US")} ${number === 1 ? noun : `${noun}s`}`;
}

/** A kind or state as people write it. */
export function spoken(name) {
  return name.replaceAll("_", " ");
}

/** The same as the beginning of a line. */
export function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function two(number, base, large, small) {
  const whole = Math.floor(number / base);
  const rest = number % base;
  return rest ? `${whole} ${large} ${rest} ${small}` : `${whole} ${large}`;
}
