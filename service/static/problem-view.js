/** A problem as the person sees it: what happened, what to do, and a report to pass on. */

import { copyTextOf } from "./clipboard.js";
import { el } from "./dom.js";
import { currentLocale, hasText, speaksEnglish, t } from "./i18n.js";

/**
 * The heading of an error code in the person's language.
 *
 * @param {{code: string, title?: string|null}} problem
 * @returns {string}
 */
export function problemTitle(problem) {
  const key = `problem.${problem.code}.title`;
  return hasText(key) ? t(key) : (problem.title ?? t("problem.internal_error.title"));
}

/**
 * What happened and what to do next. The service's sentence knows more of the occasion, but it is English.
 *
 * @param {{code: string, detail?: string|null}} problem
 * @returns {string}
 */
export function problemSentence(problem) {
  const key = `problem.${problem.code}.text`;
  if (problem.detail && (speaksEnglish() || !hasText(key))) return problem.detail;
  return t(hasText(key) ? key : "problem.internal_error.text");
}

/** A place on the page that shows one problem or nothing. */
export class ProblemSlot {
  /** The element to put on the page. */
  element = el("div", { class: "problem-slot", hidden: true });

  #account;
  #shown = null;
  #locale = null;

  /**
   * @param {string} account for the report
   */
  constructor(account) {
    this.#account = account;
  }

  /**
   * Shows a problem; the same one again changes nothing, so that an open report stays open.
   *
   * @param {import("./zis-problem.js").ZISProblem|null} problem null: nothing to show
   * @param {object} [options]
   * @param {{label: string, act: () => void}|null} [options.action] a button below it
   * @param {"error"|"warning"} [options.tone]
   */
  update(problem, { action = null, tone = "error" } = {}) {
    if (problem === this.#shown && (!problem || this.#locale === currentLocale())) return;
    this.#shown = problem;
    this.#locale = currentLocale();
    this.element.hidden = !problem;
    this.element.replaceChildren(...(problem ? [problemBox(problem, this.#account, { action, tone })] : []));
  }
}

function problemBox(problem, account, { action, tone }) {
  const box = el(
    "div",
    { class: `alert alert--${tone}`, "data-testid": "problem", "data-code": problem.code },
    el("p", { class: "alert__title" }, problemTitle(problem)),
    el("p", {}, problemSentence(problem)),
  );
  if (problem.upstreamDetail) {
    box.append(el("p", {}, `${t("problem.upstream")} `, el("q", {}, problem.upstreamDetail)));
  }
  if (problem.retryAfter) box.append(el("p", {}, t("problem.retry_after", { count: problem.retryAfter })));
  if (action) {
    const button = el("button", { type: "button", class: "button button--small" }, action.label);
    button.addEventListener("click", action.act);
    box.append(button);
  }
  box.append(reportBox(reportText(problem, account)));
  return box;
}

/**
 * A report that can be copied, behind its title.
 *
 * @param {string} report in English: it is read by whoever runs the service
 * @returns {HTMLElement}
 */
export function reportBox(report) {
  const text = el("pre", { class: "report__text", tabindex: "0" }, report);
  const copy = el("button", { type: "button", class: "button button--small" }, t("report.copy"));
  copy.addEventListener("click", async () => {
    copy.textContent = t((await copyTextOf(text)) ? "report.copied" : "report.press_keys");
  });
  return el("details", { class: "report" }, el("summary", {}, t("report.title")), text, copy);
}

function reportText(problem, account) {
  const status = problem.status ?? "none";
  const lines = {
    time: problem.at.toISOString(),
    account,
    code: problem.code,
    status: problem.upstreamStatus ? `${status} (Zendesk: ${problem.upstreamStatus})` : status,
    request: problem.requestId ?? "unknown",
    detail: problem.detail ?? "none",
  };
  return Object.entries(lines)
    .map(([name, value]) => `${name}: ${value}`)
    .join("\n");
}
