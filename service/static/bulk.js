/** The same change to many job specs, some of them a request. Knows nothing of elements. */

import { isExpressible } from "./desired-state.js";

// So many names a request: progress moves, and a person who stops it is not kept waiting.
const PIECE = 20;
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
  #wake = () => {};
  #unreached = 0;
  #waits = 0;

  /**
   * @param {object} options
   * @param {Item[]} options.items
   * @param {import("./model.js").Action} options.action
   * @param {import("./model.js").Model["changeSeveral"]} options.change
   * @param {() => void} options.onChange told after every request, and each second of a wait
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
    while (this.#left.length && !this.isStopping && !this.endedBy) {
      await this.#send(this.#nextPiece());
      this.#onChange();
      await this.#wait();
    }
    this.isOver = true;
    this.#onChange();
  }

  /** Begins nothing more; what is on its way is waited for. */
  stop() {
    this.isStopping = true;
    this.#wake();
    this.#onChange();
  }

  /** Takes the next ones of one integration that fit into a document; one that no document can name goes alone. */
  #nextPiece() {
    const [first] = this.#left;
    const isLike = ({ name, integration }) => integration === first.integration && isExpressible(name);
    const piece = isExpressible(first.name) ? this.#left.filter(isLike).slice(0, PIECE) : [first];
    this.#left = this.#left.filter((item) => !piece.includes(item));
    return piece;
  }

  async #send(piece) {
    const keys = piece.map(({ key }) => key);
    const { outcomes, refusal } = await this.#change(keys, this.action);
    for (const item of piece.filter(({ key }) => outcomes.has(key))) this.#count(item, outcomes.get(item.key));
    const left = piece.filter(({ key }) => !outcomes.has(key));
    const hasMoved = left.length < piece.length;
    this.#waits = hasMoved ? 0 : this.#waits + 1;
    if (!left.length) return;
    if (HOPELESS.has(refusal.code)) {
      this.endedBy ??= refusal;
      this.#left.unshift(...left);
    } else if (refusal.code !== "rate_limited" || this.#waits > MOST_WAITS) {
      for (const item of left) this.#count(item, refusal);
    } else {
      this.#left.unshift(...left);
      const seconds = refusal.retryAfter ?? WAIT_SECONDS;
      // One second after some were done: only the request's time was over.
      if (!hasMoved || seconds > 1) this.#resumeAt = Date.now() + seconds * 1000;
    }
  }

  #count(item, problem) {
    if (problem) this.failures.push({ item, problem });
    else this.done += 1;
    this.#unreached = problem && UNREACHED.has(problem.code) ? this.#unreached + 1 : 0;
    if (problem && (HOPELESS.has(problem.code) || this.#unreached >= MOST_UNREACHED)) this.endedBy ??= problem;
  }

  /** Waits until a limit is over, saying so every second. */
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
