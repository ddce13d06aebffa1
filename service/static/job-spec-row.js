/** One job spec in the list: what it reacts to, what it starts, and its switch. */

import { el, setAttribute, setName, setShown, setText } from "./dom.js";
import { currentLocale, t } from "./i18n.js";
import { problemSentence, ProblemSlot } from "./problem-view.js";

const PENDING = { install: "spec.installing", uninstall: "spec.uninstalling", reinstall: "spec.reinstalling" };
// A switch says what to press again; but these pass by themselves, and the time of some is told.
const PASSING = new Set(["rate_limited", "network", "store_unavailable", "zendesk_timeout", "zendesk_unavailable"]);
const NOTES = { unverified: "spec.unverified", reinstalled: "spec.reinstalled", left_over: "spec.left_over" };

/** A row that is built once and updated in place. */
export class JobSpecRow {
  /** @type {HTMLElement} */
  element;
  /** @type {string} lower case; what the filter looks at */
  searchText = "";
  /** Whether the filter lets it through; its chunk puts it into the page and takes it out. */
  isShown = false;

  #account;
  #onRetry;
  #name = el("span", { class: "spec__name" });
  #event = el("dd", { class: "spec__value" });
  #flow = el("dd", { class: "spec__value" });
  #eventLabel = el("dt", { class: "spec__label" });
  #flowLabel = el("dt", { class: "spec__label" });
  #description = el("p", { class: "spec__description" });
  #note = el("p", { class: "spec__note", hidden: true });
  #state = el("span", { class: "spec__state" });
  #toggle = el("button", { type: "button", role: "switch", class: "toggle", "data-testid": "toggle" });
  #again = el("button", { type: "button", class: "button button--link spec__again", "data-testid": "reinstall", hidden: true });
  #problem = null;
  #shown = "";
  #problemShown = null;
  #spec = null;

  /**
   * @param {string} key the model's
   * @param {string} account
   * @param {() => void} onRetry the person wants to try again what has failed
   */
  constructor(key, account, onRetry) {
    this.#account = account;
    this.#onRetry = onRetry;
    this.#toggle.append(el("span", { class: "toggle__thumb" }));
    const facts = el(
      "dl",
      { class: "spec__facts" },
      el("div", { class: "spec__fact" }, this.#eventLabel, this.#event),
      el("div", { class: "spec__fact" }, this.#flowLabel, this.#flow),
    );
    this.element = el(
      "div",
      { class: "spec", role: "listitem", "data-testid": "job-spec", "data-key": key },
      el("div", { class: "spec__text" }, this.#name, this.#description, facts, this.#note),
      el("div", { class: "spec__switch" }, this.#state, this.#toggle, this.#again),
    );
  }

  /**
   * @param {object} spec
   * @param {object} situation
   * @param {import("./model.js").Action|undefined} situation.pending the change under way
   * @param {object|null} situation.problem
   * @param {"unverified"|"reinstalled"|null} situation.note
   * @param {boolean} situation.canManage
   */
  update(spec, situation) {
    const shown = `${currentLocale()} ${situation.pending} ${situation.note} ${situation.canManage}`;
    if (spec !== this.#spec) this.#updateFacts(spec);
    else if (shown === this.#shown && situation.problem === this.#problemShown) return;
    this.#shown = shown;
    this.#updateSwitch(spec, situation);
    this.#updateProblem(situation.problem);
  }

  #updateFacts(spec) {
    this.#spec = spec;
    setAttribute(this.element, "data-name", spec.name);
    setAttribute(this.element, "data-integration", spec.integration);
    setName(this.#name, spec.name);
    setText(this.#description, spec.description ?? "");
    setShown(this.#description, Boolean(spec.description));
    setName(this.#event, [spec.event_source, spec.event_type].filter(Boolean).join(" · "));
    setShown(this.#event.parentElement, Boolean(spec.event_source || spec.event_type));
    const flow = shortFlow(spec);
    setName(this.#flow, flow ?? "");
    setAttribute(this.#flow, "title", flow === spec.flow_name ? null : spec.flow_name);
    setShown(this.#flow.parentElement, Boolean(flow));
    setAttribute(this.#toggle, "aria-label", spec.name);
    this.searchText = [spec.name, spec.integration, spec.description, spec.event_source, spec.event_type, flow]
      .filter(Boolean)
      .join("\n")
      .toLowerCase();
  }

  #updateSwitch(spec, { pending, note, canManage }) {
    const isPending = pending !== undefined;
    setText(this.#eventLabel, t("spec.event"));
    setText(this.#flowLabel, t("spec.flow"));
    setAttribute(this.element, "data-installed", String(spec.installed));
    setAttribute(this.element, "data-pending", pending);
    setShown(this.#toggle, canManage);
    setAttribute(this.#toggle, "aria-checked", String(spec.installed));
    // Not `disabled`: that would throw the focus away in the middle of a person's work.
    setAttribute(this.#toggle, "aria-disabled", isPending ? "true" : null);
    setAttribute(this.#toggle, "aria-busy", isPending ? "true" : null);
    // The switch itself shows the state of rest.
    setShown(this.#state, isPending || !canManage);
    if (isPending) setText(this.#state, t(PENDING[pending]));
    else setText(this.#state, t(spec.installed ? "spec.installed" : "spec.not_installed"));
    this.#updateAgain(spec, { isPending, canManage });
    const told = note ?? (spec.left_over && spec.installed ? "left_over" : null);
    setText(this.#note, told ? t(NOTES[told]) : "");
    setShown(this.#note, Boolean(told));
    setAttribute(this.#note, "data-note", told);
  }

  #updateAgain(spec, { isPending, canManage }) {
    setText(this.#again, t("spec.reinstall"));
    setAttribute(this.#again, "aria-label", t("spec.reinstall_name", { name: spec.name }));
    setAttribute(this.#again, "title", t("spec.reinstall_why"));
    setAttribute(this.#again, "aria-disabled", isPending ? "true" : null);
    setShown(this.#again, canManage && spec.installed);
  }

  #updateProblem(problem) {
    this.#problemShown = problem;
    if (!problem && !this.#problem) return;
    if (!this.#problem) {
      this.#problem = new ProblemSlot(this.#account, () => this.#toggle.focus());
      this.element.append(this.#problem.element);
    }
    const isPassing = problem && PASSING.has(problem.code);
    this.#problem.update(problem, {
      action: isPassing ? { label: t("problem.retry"), act: this.#onRetry } : null,
      sentence: problem && problemSentence(problem, this.#spec.integration),
    });
  }
}

/** A flow of the same integration by its short name; any other as it is. */
function shortFlow(spec) {
  const own = `zis:${spec.integration}:flow:`;
  return spec.flow_name?.startsWith(own) ? spec.flow_name.slice(own.length) : spec.flow_name;
}
