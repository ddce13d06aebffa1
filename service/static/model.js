/** What the page knows and what it can ask for. Knows nothing of elements. */

import { documentOf, isExpressible, outcomesIn } from "./desired-state.js";
import { ZISProblem } from "./zis-problem.js";

// After these nobody knows whether a change took place; only the list can tell.
const OUTCOME_UNKNOWN = new Set(["network", "unreadable_answer", "zendesk_timeout", "zendesk_unavailable", "internal_error"]);
// After these the page's idea of the connection or of the person's rights is out of date.
const STATUS_OUTDATED = new Set([
  "authorization_required",
  "account_gone",
  "admin_required",
  "manager_role_required",
  "agent_required",
  "account_not_allowed",
]);

// These say something of an integration, of which status knows more once the service has noted them.
const INTEGRATION_DOUBTED = new Set(["integration_mismatch", "scope_insufficient"]);
// What Zendesk has said against an account; a list that succeeds takes it back.
const SIGNS = new Set(["account_gone", "admin_lost"]);
const WELL = new Set(["ready", "unknown"]);

// After these no integration can be used, whatever was known of it before.
const UNUSABLE = new Set(["zendesk_timeout", "zendesk_unavailable", "zis_rejected", "admin_required", ...INTEGRATION_DOUBTED]);

/** @typedef {"install"|"uninstall"|"reinstall"} Action what a person does to a job spec */

/**
 * The name under which the page keeps a job spec; short names repeat between integrations.
 *
 * @param {{integration: string, name: string}} spec
 * @returns {string}
 */
export function keyOf(spec) {
  return `${spec.integration}\n${spec.name}`;
}

/** What a key was made of. */
function specOf(key) {
  // A name may hold a line break, an integration's cannot.
  const end = key.indexOf("\n");
  return { integration: key.slice(0, end), name: key.slice(end + 1) };
}

/** What the service is asked for: the short name, or where that looks like a qualified one, the qualified name. */
function askedFor({ integration, name }) {
  return name.startsWith("zis:") ? `zis:${integration}:job_spec:${name}` : name;
}

/** State of the page and the calls that change it; `onChange` is told after every change. */
export class Model {
  /** @type {object|null} the answer of `status` */
  status = null;
  /** @type {ZISProblem|null} */
  statusProblem = null;

  /** @type {Map<string, object>|null} job specs in the service's order; null: not loaded yet */
  specs = null;
  /** @type {{name: string, fetched_at: string|null, stale: boolean, problem: ZISProblem|null}[]} */
  integrations = [];
  /** @type {Date|null} when Zendesk was asked for what is shown */
  listedAt = null;
  /** @type {ZISProblem|null} */
  listProblem = null;
  isListing = false;

  /** @type {Map<string, Action>} changes under way */
  pending = new Map();
  /** @type {Map<string, Action>} what was tried last, for whoever wants to try it again */
  tried = new Map();
  /** @type {Map<string, ZISProblem>} changes that failed */
  failed = new Map();
  /** @type {Set<string>} changes that Zendesk accepted, but that could not be read back */
  unverified = new Set();
  /** @type {Set<string>} installed again since the list was last asked for: nothing else about them has changed */
  reinstalled = new Set();

  /** @type {ZISProblem|null} the 12 hours are over */
  sessionOver = null;

  #client;
  #onChange;
  // A list asked for before a change ended must not overwrite what the change has shown to be true.
  #clock = 0;
  #changedAt = new Map();
  #statusAdopted = 0;
  #listAdopted = 0;
  #rowsAdopted = 0;
  #asking = 0;
  #listEnded = 0;
  #listing = 0;
  #rows = null;

  /**
   * @param {object} options
   * @param {import("./zis-client.js").ZISClient} options.client
   * @param {() => void} options.onChange
   */
  constructor({ client, onChange }) {
    this.#client = client;
    this.#onChange = onChange;
  }

  /** @returns {boolean} */
  get isConnected() {
    return this.status?.connection.state === "connected";
  }

  /** @returns {boolean} whether the person may switch */
  get canManage() {
    return this.isConnected && this.status.user.can_manage;
  }

  /** @returns {boolean} whether the person may not even look */
  get isOutsider() {
    return this.listProblem?.code === "agent_required";
  }

  /**
   * The integrations' states, by what the list has just shown, else by what the service remembers.
   *
   * @returns {{name: string, state: string}[]|null} null: not connected
   */
  get readiness() {
    if (!this.isConnected) return null;
    const isUnusable = UNUSABLE.has(this.listProblem?.code);
    return this.status.integrations.map(({ name, state }) => {
      const listed = this.integrations.find((integration) => integration.name === name);
      if (isUnusable || listed?.problem) return { name, state: WELL.has(state) ? "unavailable" : state };
      return { name, state: listed ? "ready" : state };
    });
  }

  /**
   * Those that a change has found to be there no more; their rows are gone, too. That a row is missing from a list that
   * failed says nothing.
   *
   * @returns {{integration: string, name: string}[]}
   */
  gone() {
    const unlisted = new Set(this.integrations.filter(({ problem }) => problem).map(({ name }) => name));
    const isKnown = (key, code) => code === "job_spec_not_found" || !unlisted.has(specOf(key).integration);
    return [...this.failed].filter(([key, { code }]) => !this.specs?.has(key) && isKnown(key, code)).map(([key]) => specOf(key));
  }

  /**
   * Takes over what the page came with; `onChange` is not told.
   *
   * @param {object} bootstrap
   * @param {object|null} bootstrap.status as `status` answers
   * @param {object|null} bootstrap.list as `jobSpecs` answers, but for parts of which nothing is known yet
   */
  open({ status, list, expires_at: expiresAt, expires_in: expiresIn }) {
    this.status = status ?? null;
    if (!list) return;
    // The service's clock as the page was made; this machine's may be wrong.
    const now = Date.parse(expiresAt) / 1000 - expiresIn;
    const known = list.integrations.filter(({ fetched_at: fetchedAt, error }) => fetchedAt || error);
    const asked = known.filter(({ fetched_at: fetchedAt }) => fetchedAt).map(({ fetched_at: fetchedAt }) => Date.parse(fetchedAt) / 1000);
    const age = Math.max(0, now - Math.min(...asked));
    // An old list without an error is being refreshed, which is nothing to warn of.
    const integrations = known.map((part) => ({ ...part, stale: part.stale && part.error !== null }));
    this.#adopt({ job_specs: list.job_specs, integrations, age, request_id: null }, this.#clock);
  }

  /** Asks who is looking and how the account is connected. */
  async loadStatus() {
    const began = ++this.#clock;
    this.#asking += 1;
    const [status, problem] = await outcome(this.#client.status());
    this.#asking -= 1;
    if (began < this.#statusAdopted) return;
    this.#statusAdopted = began;
    // A passing failure does not make what was known wrong.
    if (status) this.status = status;
    this.statusProblem = this.#current(problem);
    this.#onChange();
    // It was asked beside the list, and may have been answered before the list found out.
    if (began < this.#listEnded && this.#isContradicted()) await this.loadStatus();
  }

  /**
   * Asks for the list.
   *
   * @param {{fresh?: boolean, quiet?: boolean}} [options] fresh: Zendesk is asked now; quiet: what is shown stays as it is
   *   until the answer is there
   */
  async loadList({ fresh = false, quiet = false } = {}) {
    const began = ++this.#clock;
    if (!quiet) {
      this.isListing = ++this.#listing > 0;
      this.listProblem = null;
      this.#onChange();
    }
    const [list, problem] = await outcome(this.#client.jobSpecs({ fresh }));
    if (!quiet) this.isListing = --this.#listing > 0;
    if (began > this.#listAdopted) {
      this.#listAdopted = began;
      this.listProblem = this.#current(problem);
      if (list) this.#adopt(list, began);
    }
    this.#listEnded = ++this.#clock;
    this.#onChange();
    // One that is under way looks for itself when it is answered.
    if (this.#asking === 0 && this.#isContradicted()) await this.loadStatus();
  }

  /** Whether the last list says otherwise than status: of the connection, an integration, or the person. */
  #isContradicted() {
    if (!this.status || this.sessionOver) return false;
    const { connection, user, integrations } = this.status;
    const isWell = this.isConnected && !SIGNS.has(connection.reason);
    const code = this.listProblem?.code;
    if (STATUS_OUTDATED.has(code)) return isWell;
    const parts = this.listProblem ? integrations.map(({ name }) => ({ name, problem: this.listProblem })) : this.integrations;
    const isWellKnown = ({ name }) => WELL.has(integrations.find((known) => known.name === name)?.state ?? "unknown");
    if (parts.some((part) => INTEGRATION_DOUBTED.has(part.problem?.code) && isWellKnown(part))) return isWell;
    const served = parts.filter(({ problem }) => !problem);
    const isHealed = !isWell || user.reason === "zendesk_unavailable" || !served.every(isWellKnown);
    return served.length > 0 && isHealed;
  }

  /** The person has asked to see everything anew. */
  async refresh() {
    this.failed.clear();
    this.reinstalled.clear();
    await Promise.all([this.loadStatus(), this.loadList({ fresh: true })]);
  }

  /**
   * Installs, uninstalls or installs again, and keeps what turned out to be true.
   *
   * @param {string} key
   * @param {Action} action
   * @returns {Promise<ZISProblem|null>} null: done
   */
  async change(key, action) {
    // It may have left the list while others were being changed.
    const { integration } = specOf(key);
    const name = askedFor(specOf(key));
    this.#begin([key], action);
    const isRemoval = action === "uninstall";
    const call = isRemoval ? this.#client.uninstall(name, integration) : this.#client.install(name, integration);
    const [changed, problem] = await outcome(call);
    if (changed) {
      this.#keep(key, changed.job_spec);
      if (!changed.verified) this.unverified.add(key);
      else if (action === "reinstall") this.reinstalled.add(key);
      // A change that Zendesk takes says that the integration is well.
      if (!WELL.has(this.status?.integrations.find(({ name: known }) => known === integration)?.state ?? "unknown")) await this.loadStatus();
    } else {
      if (this.#current(problem)) this.failed.set(key, problem);
      await this.#findOut(problem, key);
    }
    this.pending.delete(key);
    this.#onChange();
    return problem;
  }

  /**
   * Does the same to several job specs of one integration in one request, as far as it has room for them.
   *
   * @param {string[]} keys
   * @param {Action} action
   * @returns {Promise<{outcomes: Map<string, ZISProblem|null>, refusal: ZISProblem|null}>} `outcomes`, by key: null: done;
   *   those that are not in it have met the refusal; where that is `rate_limited`, they are still to be done
   */
  async changeSeveral(keys, action) {
    if (keys.length === 1 && !isExpressible(specOf(keys[0]).name)) {
      const problem = await this.change(keys[0], action);
      return { outcomes: new Map(problem ? [] : [[keys[0], null]]), refusal: problem };
    }
    this.#begin(keys, action);
    const { integration } = specOf(keys[0]);
    const names = keys.map((key) => specOf(key).name);
    const call = this.#client.apply(documentOf(integration, names, action), { rearm: action === "reinstall" });
    const [answer, problem] = await outcome(call);
    const outcomes = answer ? this.#keepOutcomes(answer, keys, action) : new Map();
    const isLeft = answer && outcomes.size < keys.length;
    const limit = { code: "rate_limited", retry_after: answer?.retry_after, request_id: answer?.request_id };
    const refusal = isLeft ? new ZISProblem(limit) : problem;
    // What is true of the connection or the person stands on the page itself.
    if (problem && problem.code !== "rate_limited" && !STATUS_OUTDATED.has(problem.code) && this.#current(problem)) {
      for (const key of keys) this.failed.set(key, problem);
    }
    const problems = [...outcomes, [keys[0], problem]].filter(([, one]) => one);
    // One of each code is enough to find out.
    for (const [key, one] of new Map(problems.map((pair) => [pair[1].code, pair])).values()) await this.#findOut(one, key);
    for (const key of keys) this.pending.delete(key);
    this.#onChange();
    return { outcomes, refusal };
  }

  /**
   * Gives the grant back.
   *
   * @param {{uninstall: boolean}} options
   * @returns {Promise<ZISProblem|null>} null: done
   */
  async disconnect({ uninstall }) {
    const [, problem] = await outcome(this.#client.disconnect({ uninstall }));
    await this.loadStatus();
    if (problem && uninstall && this.isConnected) await this.loadList({ fresh: true });
    if (!problem) this.#forgetList();
    this.#onChange();
    return problem;
  }

  /**
   * @param {ZISProblem} problem
   */
  endSession(problem) {
    this.sessionOver = problem;
    this.#onChange();
  }

  #begin(keys, action) {
    for (const key of keys) {
      this.pending.set(key, action);
      this.tried.set(key, action);
      this.failed.delete(key);
      this.unverified.delete(key);
      this.reinstalled.delete(key);
    }
    this.#onChange();
  }

  /** Takes over what `apply` says of these; returns their problems. */
  #keepOutcomes(answer, keys, action) {
    const problems = new Map();
    const found = outcomesIn(answer);
    for (const key of keys) {
      const became = found.get(specOf(key).name);
      if (!became) continue;
      problems.set(key, became.problem);
      if (became.problem) {
        this.failed.set(key, became.problem);
        continue;
      }
      const spec = this.specs?.get(key);
      const isInstalled = action !== "uninstall";
      if (spec) this.#keep(key, { ...spec, installed: isInstalled, left_over: isInstalled ? spec.left_over : false });
      if (became.isUnverified) this.unverified.add(key);
      else if (action === "reinstall" && became.isSent) this.reinstalled.add(key);
    }
    return problems;
  }

  async #findOut(problem, key) {
    // What a list says of these the service notes for status, which is asked after it.
    const isListToSay = problem.code === "admin_required" || INTEGRATION_DOUBTED.has(problem.code);
    if (isListToSay) await this.loadList({ fresh: true, quiet: true });
    else if (STATUS_OUTDATED.has(problem.code)) await this.loadStatus();
    // Of many that are gone the first one shows it for all.
    if (problem.code === "job_spec_not_found" && this.specs?.has(key)) await this.loadList({ fresh: true });
    if (!OUTCOME_UNKNOWN.has(problem.code)) return;
    const { integration } = specOf(key);
    const began = ++this.#clock;
    const [list] = await outcome(this.#client.jobSpecs({ integration, fresh: true }));
    if (began < this.#rowsAdopted) return;
    for (const spec of list?.job_specs ?? []) this.#keep(keyOf(spec), spec, began);
  }

  /** Once the session is over, that is all there is to say. */
  #current(problem) {
    return this.sessionOver ? null : problem;
  }

  /** Takes over what was true at that moment, unless something newer is known. */
  #keep(key, spec, at = ++this.#clock) {
    if (!this.specs?.has(key) || this.#changedAt.get(key) > at) return;
    this.#changedAt.set(key, at);
    this.specs.set(key, spec);
  }

  #adopt(list, began) {
    this.#rowsAdopted = began;
    this.listedAt = new Date(Date.now() - (list.age ?? 0) * 1000);
    const isSame = list.job_specs === this.#rows && this.#changedAt.size === 0;
    if (isSame) return;
    this.#rows = list.job_specs;
    const specs = new Map();
    for (const spec of list.job_specs) {
      const key = keyOf(spec);
      const isOutdated = (this.#changedAt.get(key) ?? 0) > began;
      // A name that is listed twice has one switch: on, where one of its rows is installed.
      if (specs.get(key)?.installed) continue;
      specs.set(key, (isOutdated && this.specs?.get(key)) || spec);
      if (!isOutdated) {
        this.#changedAt.delete(key);
        this.unverified.delete(key);
      }
    }
    this.specs = specs;
    this.integrations = list.integrations.map(({ error, ...integration }) => ({
      ...integration,
      problem: error && new ZISProblem({ ...error, request_id: list.request_id }),
    }));
  }

  #forgetList() {
    this.specs = null;
    this.integrations = [];
    this.listedAt = null;
    this.listProblem = null;
    this.#rows = null;
    this.failed.clear();
    this.tried.clear();
    this.unverified.clear();
    this.reinstalled.clear();
  }
}

/** The value or the problem of a call; anything else is a fault of this page and goes on as such. */
async function outcome(call) {
  try {
    return [await call, null];
  } catch (error) {
    if (error instanceof ZISProblem) return [null, error];
    throw error;
  }
}
