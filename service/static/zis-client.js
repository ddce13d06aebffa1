/**
 * A client of this service's API, for pages that it serves and for those of ALLOWED_ORIGINS.
 *
 *     import { ZISClient } from "/static/zis-client.js";
 *     const client = new ZISClient({ sessionToken, expiresIn, apiBase: "/api/v1" });
 *     const { job_specs } = await client.jobSpecs({ integration: "acme_orders" });
 *
 * On a page of another origin, in a click (`docs/your-own-front-end.md`):
 *
 *     import { ZISClient } from "https://zis.example.com/static/zis-client.js";
 *     const client = await ZISClient.signIn({ service: "https://zis.example.com", subdomain: "acme" });
 *
 * Answers are the API's own documents (docs/reference.md); every failure is a `ZISProblem`. A GET that is refused for at most 3
 * seconds (429, 503, 504) is repeated for up to 20 seconds. The session renews itself for as long as the service allows
 * (12 hours from the signed request or sign-in that it began with).
 */

import { fetchSession } from "./sign-in.js";
import { ZISProblem } from "./zis-problem.js";
import { Session } from "./zis-session.js";

export { ZISProblem };

/**
 * @typedef {import("./zis-client.d.ts").ActivityEntry} ActivityEntry
 * @typedef {import("./zis-client.d.ts").DesiredState} DesiredState
 * @typedef {import("./zis-client.d.ts").JobSpec} JobSpec
 * @typedef {import("./zis-client.d.ts").JobSpecList} JobSpecList
 * @typedef {import("./zis-client.d.ts").Plan} Plan
 * @typedef {import("./zis-client.d.ts").Status} Status
 * @typedef {{status: number, headers: Headers, json: () => Promise<any>}} Answer
 */

// The service answers within 25 seconds; the rest is for slow networks.
const REQUEST_TIMEOUT_MS = 40_000;
// A GET that is refused for so short a time is sent again; what is told to wait longer is for the person to know.
const LONGEST_RETRY_AFTER_SECONDS = 3;
const REPEATING_MS = 20_000;
const PASSING_STATUSES = new Set([429, 503, 504]);

/** Calls `/api/v1` in the name of the person the page was opened for. */
export class ZISClient {
  #apiBase;
  #session;
  /** @type {Map<string, {etag: string, body: Omit<JobSpecList, "age"|"request_id">}>} by path */
  #lists = new Map();

  /**
   * @param {object} options
   * @param {string} options.sessionToken from the page's bootstrap
   * @param {number} [options.expiresIn] seconds the token lives; preferred, for it needs no right clock
   * @param {string} [options.expiresAt] RFC 3339; only looked at without `expiresIn`
   * @param {string} [options.apiBase]
   * @param {(problem: ZISProblem) => void} [options.onSessionExpired] the page has to be opened anew
   */
  constructor({ sessionToken, expiresIn, expiresAt, apiBase = "/api/v1", onSessionExpired = () => {} }) {
    this.#apiBase = apiBase;
    this.#session = new Session({
      token: sessionToken,
      // Neither given: 0, so that the first call fetches a token of known life.
      expiresIn: expiresIn ?? (expiresAt ? (Date.parse(expiresAt) - Date.now()) / 1000 : 0),
      trade: async (token) => (await this.#send("POST", "/session", { token })).json(),
      onExpired: onSessionExpired,
    });
  }

  /**
   * Signs a person in with Zendesk, in a popup, from a page of ALLOWED_ORIGINS. To be called in the click itself.
   *
   * @param {object} options
   * @param {string} options.service the service's address
   * @param {string} options.subdomain `acme` for acme.zendesk.com
   * @param {AbortSignal} [options.signal] ends the wait, which else takes a quarter of an hour
   * @param {(problem: ZISProblem) => void} [options.onSessionExpired] to sign in again
   * @returns {Promise<ZISClient>}
   * @throws {ZISProblem} what the sign-in ended in; `popup_blocked` and `sign_in_unfinished` are made here
   */
  static async signIn({ service, subdomain, signal, onSessionExpired }) {
    const origin = service.replace(/\/+$/, "");
    const session = await fetchSession({ service: origin, subdomain, signal });
    return new ZISClient({
      sessionToken: session.session_token,
      expiresIn: session.expires_in,
      apiBase: `${origin}/api/v1`,
      onSessionExpired,
    });
  }

  /**
   * Who is looking, and how the account is connected.
   *
   * @returns {Promise<Status>}
   */
  async status() {
    return (await this.#call("GET", "/status")).json();
  }

  /**
   * The job specs of the account. An unchanged list costs no body: the last one is returned again.
   *
   * @param {object} [options]
   * @param {string} [options.integration] only this one's
   * @param {boolean} [options.installed] only those, or only the others
   * @param {boolean} [options.fresh] ask Zendesk now instead of taking a list of a few seconds ago
   * @returns {Promise<JobSpecList>} the API's document, and of the answer: `age`, how many seconds ago Zendesk was asked (null:
   *   not told), and `request_id`
   */
  async jobSpecs({ integration, installed, fresh = false } = {}) {
    const path = `/job_specs${query({ integration, installed })}`;
    const known = this.#lists.get(path);
    // Said explicitly: a browser would add `no-cache` by itself to a request with a condition of our own.
    /** @type {Record<string, string>} */
    const headers = { "Cache-Control": fresh ? "no-cache" : "max-age=0" };
    if (known) headers["If-None-Match"] = known.etag;
    const response = await this.#call("GET", path, headers);
    const answer = { age: secondsIn(response, "Age"), request_id: response.headers.get("X-Request-Id") };
    if (known && response.status === 304) return { ...known.body, ...answer };
    const body = await response.json();
    const etag = response.headers.get("ETag");
    if (etag) this.#lists.set(path, { etag, body });
    else this.#lists.delete(path);
    return { ...body, ...answer };
  }

  /**
   * Installs a job spec; installing it again re-arms one that a bundle upload has silenced.
   *
   * @param {string} name short or qualified
   * @param {string} [integration] needed where several have a job spec of this short name
   * @returns {Promise<{job_spec: JobSpec, verified: boolean}>}
   */
  async install(name, integration) {
    return (await this.#call("POST", installPath(name, integration))).json();
  }

  /**
   * @param {string} name short or qualified
   * @param {string} [integration]
   * @returns {Promise<{job_spec: JobSpec, verified: boolean}>}
   */
  async uninstall(name, integration) {
    return (await this.#call("DELETE", installPath(name, integration))).json();
  }

  /**
   * What `apply` would do; changes nothing.
   *
   * @param {DesiredState} document `{ integrations: { acme_orders: { installed: [names], uninstalled: [names] } } }`
   * @param {object} [options]
   * @param {boolean} [options.rearm] install again what is installed already
   * @returns {Promise<Plan>}
   */
  plan(document, { rearm = false } = {}) {
    return this.#desire("plan", document, rearm);
  }

  /**
   * Brings the account to a desired state, as far as a request's time and the person's limit allow.
   *
   * @param {DesiredState} document as for `plan`
   * @param {object} [options]
   * @param {boolean} [options.rearm] install again what is installed already
   * @returns {Promise<Plan>} `left`: so many changes are still to be made; the same call goes on with them after
   *   `retry_after` seconds
   */
  apply(document, { rearm = false } = {}) {
    return this.#desire("apply", document, rearm);
  }

  /**
   * Gives the account's grant back and forgets it.
   *
   * @param {object} [options]
   * @param {boolean} [options.uninstall] uninstall every job spec first; otherwise they stay and go on firing
   * @returns {Promise<{revoked: boolean}>}
   */
  async disconnect({ uninstall = false } = {}) {
    return (await this.#call("DELETE", `/connection${query({ uninstall: uninstall || undefined })}`)).json();
  }

  /**
   * Who did what, newest first.
   *
   * @param {number} [limit] 1 to 200
   * @returns {Promise<{activity: ActivityEntry[]}>}
   */
  async activity(limit) {
    return (await this.#call("GET", `/activity${query({ limit })}`)).json();
  }

  /**
   * @param {"plan"|"apply"} verb
   * @param {DesiredState} document
   * @param {boolean} rearm
   * @returns {Promise<Plan>}
   */
  async #desire(verb, document, rearm) {
    const path = `/job_specs/${verb}${query({ rearm: rearm || undefined })}`;
    const response = await this.#call("POST", path, { "Content-Type": "application/json" }, JSON.stringify(document));
    const answer = { retry_after: secondsIn(response, "Retry-After"), request_id: response.headers.get("X-Request-Id") };
    return { ...(await response.json()), ...answer };
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Record<string, string>} [headers]
   * @param {string} [body]
   * @returns {Promise<Answer>}
   */
  async #call(method, path, headers = {}, body = undefined) {
    const end = Date.now() + REPEATING_MS;
    for (;;) {
      try {
        return await this.#authorized(method, path, headers, body);
      } catch (problem) {
        const wait = method === "GET" ? waitBeforeRepeating(/** @type {ZISProblem} */ (problem)) : null;
        if (wait === null || Date.now() + wait > end) throw problem;
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Record<string, string>} headers
   * @param {string} [body]
   * @returns {Promise<Answer>}
   */
  async #authorized(method, path, headers, body) {
    const token = await this.#session.token();
    try {
      return await this.#send(method, path, { token, headers, body });
    } catch (problem) {
      if (/** @type {ZISProblem} */ (problem).code !== "unauthenticated") throw problem;
      // Once: the token may have expired while the machine slept. The call was refused, so repeating it is safe.
      return this.#send(method, path, { token: await this.#session.tokenAfter(token), headers, body });
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{token: string, headers?: Record<string, string>, body?: string}} request
   * @returns {Promise<Answer>}
   */
  async #send(method, path, { token, headers = {}, body }) {
    let response;
    try {
      response = await fetch(this.#apiBase + path, {
        method,
        headers: { Accept: "application/json", Authorization: `Bearer ${token}`, ...headers },
        body,
        credentials: "omit",
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      if (response.ok || response.status === 304) return readable(response);
    } catch {
      throw ZISProblem.network();
    }
    throw await ZISProblem.fromResponse(response);
  }
}

/**
 * How long to wait before a GET is sent again; null: it is not.
 *
 * @param {ZISProblem} problem
 * @returns {number|null} milliseconds: what the service asks for, and up to half of it more, so that callers who were
 *   refused together do not come back together
 */
function waitBeforeRepeating({ status, retryAfter }) {
  if (!PASSING_STATUSES.has(status ?? 0) || retryAfter === null || retryAfter > LONGEST_RETRY_AFTER_SECONDS) return null;
  return 1000 * retryAfter * (1 + Math.random() / 2);
}

/**
 * An answer whose body fails as a `ZISProblem` too: the connection may break in the middle of it.
 *
 * @param {Response} response
 * @returns {Answer}
 */
function readable(response) {
  return {
    status: response.status,
    headers: response.headers,
    json: async () => {
      try {
        return await response.json();
      } catch {
        throw ZISProblem.network(response.status, response.headers.get("X-Request-Id"));
      }
    },
  };
}

/**
 * @param {string} name
 * @param {string} [integration]
 */
function installPath(name, integration) {
  // Not in the path, where a name with a slash would be another address.
  return `/job_specs/install${query({ job_spec_name: name, integration })}`;
}

/**
 * @param {Record<string, string|number|boolean|null|undefined>} values
 */
function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
}

/**
 * @param {Answer} response
 * @param {string} header
 */
function secondsIn(response, header) {
  const seconds = Number.parseInt(response.headers.get(header) ?? "", 10);
  return Number.isNaN(seconds) ? null : seconds;
}
