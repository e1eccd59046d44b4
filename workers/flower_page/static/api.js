/** Asks Flower: what there is, and to do something. */

const ROOT = new URL("../api", import.meta.url).href;
const LIMIT_MS = 10_000;
// What thousands of calls could cost takes its time.
const COUNT_LIMIT_MS = 30_000;
// A cause may hold thousands of calls.
const ACT_LIMIT_MS = 120_000;

/** An answer that is none; its message is a sentence for people. */
class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** Everything the page shows. */
export function readAll() {
  return ask("");
}

/** One call. */
export function readCall(id) {
  return ask(`/call/${encodeURIComponent(id)}`);
}

/** The calls that ended for a reason; what running them again costs at most is counted only where it is asked for. */
export function readCause(reason, { cost = false } = {}) {
  return ask(`/cause/${encodeURIComponent(reason)}${cost ? "" : "?cost=no"}`, { limit_ms: COUNT_LIMIT_MS });
}

/** Does something; the sentence that says what was done. */
export async function act(body) {
  const answer = await ask("/act", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-XSRFToken": token() },
    body: JSON.stringify(body),
    limit_ms: ACT_LIMIT_MS,
  });
  return answer.done;
}

async function ask(path, { limit_ms = LIMIT_MS, ...options } = {}) {
  const response = await reach(path, { ...options, signal: AbortSignal.timeout(limit_ms) });
  // Flower sends who is not signed in to its login.
  if (response.type === "opaqueredirect") throw new ApiError(sentence(401), 401);
  const answer = await response.json().catch(() => null);
  if (response.ok && answer !== null) return answer;
  throw new ApiError(answer?.error ?? sentence(response.status), response.status);
}

async function reach(path, options) {
  try {
    return await fetch(ROOT + path, { cache: "no-store", redirect: "manual", credentials: "same-origin", ...options });
  } catch (error) {
    throw new ApiError(error.name === "TimeoutError" ? "Flower did not answer in time." : "Flower cannot be reached.");
  }
}

function sentence(status) {
  if (status === 401) return "You are not signed in any more; load the page again.";
  if (status === 403) return "Flower refused it; load the page again, for its form may be too old.";
  return `Flower answered with status ${status}.`;
}

function token() {
  const found = document.cookie.split("; ").find((cookie) => cookie.startsWith("_xsrf="));
  return found === undefined ? "" : found.slice("_xsrf=".length).replaceAll('"', "");
}
