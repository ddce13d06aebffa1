/** The same change to many job specs, one after the other. Knows nothing of elements. */

// One on its way to Zendesk while another is read back; more would only meet Zendesk's limits sooner.
const AT_ONCE = 2;
// Where nobody says how long to wait.
const WAIT_SECONDS = 5;
// A limit that has not gone after so many waits is a failure like others.
const MOST_WAITS = 4;
// When nothing is reached any more, the rest would only take its time to fail as well.
const MOST_UNREACHED = 3;

const UNREACHED = new Set(["network", "zendesk_unavailable", "zendesk_timeout", "store_unavailable", "rate_limited"]);
// What is true of one job spec after these is true of all.
const HOPELESS = new Set([
  "unauthenticated",
  "authorization_required",
  "manager_role_required",
  "agent_required",
  "account_not_allowed",
  "admin_required",
  "scope_insufficient",
  "client_misconfigured",
]);

/**
 * @typedef {object} Item
 * @property {string} key the model's
 * @property {string} name
 * @property {string} integration
 */

/** One run over a list of job specs, from the first to the last or to the point where it makes no sense to go on. */
export class BulkRun {
  /** @type {import("./model.js").Action} */
  action;
  /** @type {number} */
  total;
  /** @type {number} how many were changed */
  done = 0;
  /** @type {{item: Item, problem: import("./zis-problem.js").ZISProblem}[]} */
  failures = [];
  isOver = false;
  isStopping = false;
  /** @type {import("./zis-problem.js").ZISProblem|null} why it ended before its time; null: it did not, or a person did it */
  endedBy = null;

  #left;
  #change;
  #onChange;
  #resumeAt = 0;
  #waiting = null;
  #wake = () => {};
  #unreached = 0;

  /**
   * @param {object} options
   * @param {Item[]} options.items
   * @param {import("./model.js").Action} options.action
   * @param {(key: string, action: import("./model.js").Action) => Promise<import("./zis-problem.js").ZISProblem|null>} options.change
   * @param {() => void} options.onChange told after every step, and each second of a wait
   */
  constructor({ items, action, change, onChange }) {
    this.action = action;
    this.total = items.length;
    this.#left = [...items];
    this.#change = change;
    this.#onChange = onChange;
  }

  /** @returns {Item[]} those that nothing was tried with, and no longer will be once it is over */
  get untried() {
    return [...this.#left];
  }

  /** @returns {boolean} whether the rest would fail likewise */
  get isHopeless() {
    return this.endedBy !== null && HOPELESS.has(this.endedBy.code);
  }

  /** @returns {number} seconds until it goes on; 0: it is not waiting */
  get waitSeconds() {
    return this.isOver ? 0 : Math.max(0, Math.ceil((this.#resumeAt - Date.now()) / 1000));
  }

  /** Does it all; returns when it is over. */
  async run() {
    await Promise.all(Array.from({ length: AT_ONCE }, () => this.#work()));
    this.isOver = true;
    this.#onChange();
  }

  /** Begins nothing more; what is on its way is waited for. */
  stop() {
    this.isStopping = true;
    this.#wake();
    this.#onChange();
  }

  async #work() {
    for (;;) {
      await this.#pause();
      if (this.isStopping || this.endedBy) return;
      const item = this.#left.shift();
      if (!item) return;
      await this.#one(item);
    }
  }

  async #one(item) {
    for (let waits = 0; ; waits += 1) {
      const problem = await this.#change(item.key, this.action);
      if (problem?.code !== "rate_limited" || waits === MOST_WAITS) {
        this.#count(item, problem);
        return;
      }
      this.#resumeAt = Math.max(this.#resumeAt, Date.now() + (problem.retryAfter ?? WAIT_SECONDS) * 1000);
      await this.#pause();
      if (this.isStopping || this.endedBy) {
        // It was refused, so nothing has been done to it.
        this.#left.unshift(item);
        return;
      }
    }
  }

  #count(item, problem) {
    if (problem) this.failures.push({ item, problem });
    else this.done += 1;
    this.#unreached = problem && UNREACHED.has(problem.code) ? this.#unreached + 1 : 0;
    if (problem && (HOPELESS.has(problem.code) || this.#unreached >= MOST_UNREACHED)) this.endedBy ??= problem;
    this.#onChange();
  }

  /** Waits until a limit is over, saying so every second; one wait for all. */
  #pause() {
    if (this.waitSeconds === 0) return null;
    this.#waiting ??= this.#wait().finally(() => {
      this.#waiting = null;
    });
    return this.#waiting;
  }

  async #wait() {
    while (this.waitSeconds > 0 && !this.isStopping && !this.endedBy) {
      this.#onChange();
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 1000);
      });
    }
  }
}
