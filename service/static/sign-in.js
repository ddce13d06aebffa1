/**
 * Signing in from a page of another origin: a form into a popup, and a claim that only this page knows.
 *
 * Whether the popup is open says nothing: Zendesk's page may cut the tie between the windows. So the service is asked.
 */

import { ZISProblem } from "./zis-problem.js";

const ASK_EVERY_MS = 2000;
// A sign-in may be begun for ten minutes, and is kept for five.
const GIVE_UP_AFTER_MS = 15 * 60_000;
const REQUEST_TIMEOUT_MS = 40_000;
// What passes by itself; the claim is still good.
const PASSING = new Set(["network", "rate_limited", "store_unavailable", "zendesk_timeout"]);

/**
 * Opens Zendesk's sign-in. To be called in the click itself, or the browser takes it for an unwanted window.
 *
 * @param {object} options
 * @param {string} options.service its origin
 * @param {string} options.subdomain
 * @param {AbortSignal} [options.signal] ends the wait
 * @returns {Promise<{session_token: string, expires_at: string, expires_in: number}>}
 * @throws {ZISProblem}
 */
export async function fetchSession({ service, subdomain, signal }) {
  const name = `zis-sign-in-${randomText(6)}`;
  // Before anything is waited for.
  const popup = window.open("about:blank", name, "popup,width=640,height=760");
  if (!popup) throw clientProblem("popup_blocked", "The browser opened no window", "Allow windows of this page, and sign in again.");
  const claim = randomText(32);
  submit({ address: `${service}/signin`, target: name, fields: { subdomain, challenge: await challengeOf(claim) } });
  const end = Date.now() + GIVE_UP_AFTER_MS;
  /** @type {ZISProblem|null} */
  let passing = null;
  while (Date.now() < end) {
    await pause(Math.max(ASK_EVERY_MS, (passing?.retryAfter ?? 0) * 1000), signal);
    try {
      const session = await fetchOnce(service, claim);
      // One that comes after the wait was ended is nobody's.
      if (session && !signal?.aborted) return session;
      passing = null;
    } catch (error) {
      const problem = /** @type {ZISProblem} */ (error);
      // It may have been told with the answer that got lost.
      if (problem.code === "not_found") throw passing ?? problem;
      if (!PASSING.has(problem.code)) throw problem;
      passing = problem;
    }
  }
  throw clientProblem("sign_in_unfinished", "Nobody signed in", "The window was closed, or nobody finished signing in. Sign in again.");
}

/**
 * The session; null: there is none yet.
 *
 * @param {string} service
 * @param {string} claim
 * @returns {Promise<{session_token: string, expires_at: string, expires_in: number}|null>}
 */
async function fetchOnce(service, claim) {
  let response;
  try {
    response = await fetch(`${service}/api/v1/session/claim`, {
      method: "POST",
      headers: { Accept: "application/json", "Content-Type": "application/json" },
      body: JSON.stringify({ claim }),
      credentials: "omit",
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    if (response.status === 202) return null;
    if (response.ok) return await response.json();
  } catch {
    throw ZISProblem.network();
  }
  throw await ZISProblem.fromResponse(response);
}

/**
 * A form of this page: its origin is what lets it sign people in.
 *
 * @param {{address: string, target: string, fields: Record<string, string>}} options
 */
function submit({ address, target, fields }) {
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action: address, target, hidden: true });
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name, value });
    form.append(field);
  }
  document.body.append(form);
  form.submit();
  form.remove();
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal|undefined} signal
 * @returns {Promise<void>}
 */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(clientProblem("sign_in_unfinished", "Nobody signed in", "The page stopped waiting."));
    if (signal?.aborted) {
      stop();
      return;
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    const abort = () => {
      clearTimeout(timer);
      stop();
    };
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/**
 * @param {string} code
 * @param {string} title
 * @param {string} detail
 */
function clientProblem(code, title, detail) {
  return new ZISProblem({ code, title, detail });
}

/**
 * @param {number} bytes
 */
function randomText(bytes) {
  return base64url(crypto.getRandomValues(new Uint8Array(bytes)));
}

/**
 * @param {string} claim
 */
async function challengeOf(claim) {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(claim))));
}

/**
 * @param {Uint8Array} bytes
 */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}
