/** The short-lived bearer of a page, renewed when it has to be. Knows nothing of job specs. */

/** @typedef {import("./zis-problem.js").ZISProblem} ZISProblem */

// Longer than a slow request takes to reach the service, so that a token never expires on the way.
const RENEW_BEFORE_SECONDS = 60;

/**
 * Seconds since an earlier moment, whatever the machine does in between: the monotonic clock may stand still while it
 * sleeps, and the other one may be set back.
 *
 * @returns {() => number}
 */
function stopwatch() {
  const monotonic = performance.now();
  const wall = Date.now();
  return () => Math.max(performance.now() - monotonic, Date.now() - wall) / 1000;
}

/** Hands out a session token that the service will most likely take; asks for a new one at most once at a time. */
export class Session {
  #token = "";
  #secondsLeft = () => 0;
  #trade;
  #onExpired;
  /** @type {Promise<void>|null} the request for a new token that is under way */
  #renewal = null;

  /**
   * @param {object} options
   * @param {string} options.token
   * @param {number} options.expiresIn seconds; the machine's clock may be wrong, so no point in time is asked for
   * @param {(token: string) => Promise<{session_token: string, expires_in: number}>} options.trade
   * @param {(problem: ZISProblem) => void} options.onExpired called when no new token is to be had any more
   */
  constructor({ token, expiresIn, trade, onExpired }) {
    this.#trade = trade;
    this.#onExpired = onExpired;
    this.#adopt(token, expiresIn);
  }

  /**
   * A token to send, renewed first when it is about to expire.
   *
   * @returns {Promise<string>}
   * @throws {ZISProblem}
   */
  async token() {
    if (this.#secondsLeft() <= RENEW_BEFORE_SECONDS) {
      try {
        await this.#renew();
      } catch (error) {
        const problem = /** @type {ZISProblem} */ (error);
        // A passing failure does not matter while the old token still lives.
        if (problem.code === "unauthenticated" || this.#secondsLeft() <= 0) throw problem;
      }
    }
    return this.#token;
  }

  /**
   * A token other than the refused one.
   *
   * @param {string} refused
   * @returns {Promise<string>}
   * @throws {ZISProblem}
   */
  async tokenAfter(refused) {
    if (this.#token === refused) await this.#renew();
    return this.#token;
  }

  #renew() {
    this.#renewal ??= this.#ask().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  async #ask() {
    try {
      const fresh = await this.#trade(this.#token);
      this.#adopt(fresh.session_token, fresh.expires_in);
    } catch (error) {
      const problem = /** @type {ZISProblem} */ (error);
      if (problem.code === "unauthenticated") this.#onExpired(problem);
      throw problem;
    }
  }

  /**
   * @param {string} token
   * @param {number} expiresIn seconds
   */
  #adopt(token, expiresIn) {
    const elapsed = stopwatch();
    this.#token = token;
    this.#secondsLeft = () => expiresIn - elapsed();
  }
}
