/** What went wrong with a call, as one error class. Knows nothing of the page. */

const UNREACHED = new Set([502, 503, 504]);

/**
 * A refusal or failure of the API (RFC 9457), or of the network on the way to it.
 *
 * Branch on `code`: it never changes. Four codes are made here and not by the service: `network` (it was not reached, or
 * its answer broke off), `unreadable_answer` (something else answered in its place; after both it is unknown whether a
 * change happened), and of a sign-in `popup_blocked` and `sign_in_unfinished`.
 */
export class ZISProblem extends Error {
  /**
   * @param {import("./zis-client.d.ts").ProblemDocument} members missing ones become null
   */
  constructor(members) {
    super(members.detail || members.title || members.code);
    this.name = "ZISProblem";
    /** @type {string} */
    this.code = members.code;
    /** @type {string|null} */
    this.title = members.title ?? null;
    /** @type {string|null} a sentence for the person, in English */
    this.detail = members.detail ?? null;
    /** @type {number|null} the HTTP status; null: no answer */
    this.status = members.status ?? null;
    /** @type {string|null} */
    this.requestId = members.request_id ?? null;
    /** @type {number|null} seconds */
    this.retryAfter = members.retry_after ?? null;
    /** @type {string|null} where an admin connects the account */
    this.authorizeUrl = members.authorize_url ?? null;
    /** @type {string|null} Zendesk's own words */
    this.upstreamDetail = members.upstream_detail ?? null;
    /** @type {number|null} Zendesk's HTTP status */
    this.upstreamStatus = members.upstream_status ?? null;
    /** @type {Date} when the page learned of it */
    this.at = new Date();
  }

  /**
   * The problem an answer tells of. A proxy in between answers without our document: then the status decides.
   *
   * @param {Response} response
   * @returns {Promise<ZISProblem>}
   */
  static async fromResponse(response) {
    let body = null;
    try {
      body = await response.json();
    } catch {
      // Not ours; the status has to do.
    }
    if (body && typeof body.code === "string") return new ZISProblem(body);
    return ZISProblem.unreadable(response.status, response.headers.get("X-Request-Id"));
  }

  /**
   * @param {number} status of an answer that is not the service's own
   * @param {string|null} requestId
   * @returns {ZISProblem}
   */
  static unreadable(status, requestId) {
    // What a router says in place of a service that it does not reach.
    if (UNREACHED.has(status)) return ZISProblem.network(status, requestId);
    const own = status === 500;
    return new ZISProblem({
      code: own ? "internal_error" : "unreadable_answer",
      title: own ? "Something went wrong here" : "The answer cannot be read",
      detail: own
        ? "The service failed, and could not say more. Try again."
        : `Something between this page and the service answered in its place (${status}). Try again.`,
      status,
      request_id: requestId,
    });
  }

  /**
   * @param {number|null} [status] of an answer that was not the service's own
   * @param {string|null} [requestId]
   * @returns {ZISProblem}
   */
  static network(status = null, requestId = null) {
    return new ZISProblem({
      code: "network",
      title: "The service cannot be reached",
      detail: "The service did not answer. Check the network connection and try again.",
      status,
      request_id: requestId,
    });
  }
}
