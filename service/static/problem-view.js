/** A problem as the person sees it: what happened, what to do, and a report to pass on. */

import { copyTextOf } from "./clipboard.js";
import { el, setAttribute, setShown, setText } from "./dom.js";
import { currentLocale, hasText, t } from "./i18n.js";

// Where the same can be said of an integration that is known.
const NAMED = {
  admin_required: "problem.admin_required.named",
  integration_mismatch: "problem.integration_mismatch.named",
  scope_insufficient: "problem.scope_insufficient.named",
};
const TICK_MS = 1000;

/**
 * The heading of an error code in the person's language.
 *
 * @param {{code: string}} problem
 * @returns {string}
 */
export function problemTitle({ code }) {
  return textOf(code, "title");
}

/**
 * What happened and what to do next, in the person's language. The service's own sentence is for those who run it, and
 * stands in the report.
 *
 * @param {{code: string}} problem
 * @param {string|null} [integration] of which this is a problem
 * @returns {string}
 */
export function problemSentence({ code }, integration = null) {
  return integration && NAMED[code] ? t(NAMED[code], { integration }) : textOf(code, "text");
}

/**
 * Whether two problems would be told in the same words, whichever integrations they are of.
 *
 * @param {import("./zis-problem.js").ZISProblem} one
 * @param {import("./zis-problem.js").ZISProblem} other
 * @returns {boolean}
 */
export function isToldAlike(one, other) {
  return one.code === other.code && !NAMED[one.code] && one.upstreamDetail === other.upstreamDetail;
}

/** A code that no catalogue has is a newer service's. */
function textOf(code, part) {
  const key = `problem.${code}.${part}`;
  return t(hasText(key) ? key : `problem.internal_error.${part}`);
}

/** A place on the page that shows one problem or nothing. */
export class ProblemSlot {
  /** The element to put on the page. */
  element = el("div", { class: "problem-slot", hidden: true });

  #account;
  #keepFocus;
  #problem = null;
  #shown = null;
  #countdown = 0;

  /**
   * @param {string} account for the report
   * @param {() => void} [keepFocus] called where a problem that goes would take the keyboard's focus with it
   */
  constructor(account, keepFocus = () => {}) {
    this.#account = account;
    this.#keepFocus = keepFocus;
  }

  /**
   * Shows a problem; the same one again changes nothing, so that an open report stays open.
   *
   * @param {import("./zis-problem.js").ZISProblem|null} problem null: nothing to show
   * @param {object} [options]
   * @param {{label: string, act: () => void}|null} [options.action] a button below it, which waits until the time that
   *   the problem names is over
   * @param {"error"|"warning"} [options.tone]
   * @param {string} [options.sentence] in place of the catalogue's
   */
  update(problem, { action = null, tone = "error", sentence = problem && problemSentence(problem) } = {}) {
    const shown = `${currentLocale()} ${tone} ${Boolean(action)} ${sentence}`;
    if (problem === this.#problem && (!problem || shown === this.#shown)) return;
    this.#problem = problem;
    this.#shown = shown;
    if (this.element.contains(document.activeElement)) this.#keepFocus();
    this.element.hidden = !problem;
    // Not by whether it is on the page: a filter takes a row off it, and brings it back.
    clearInterval(this.#countdown);
    this.element.replaceChildren();
    if (!problem) return;
    const { box, countdown } = problemBox(problem, this.#account, { action, tone, sentence });
    this.#countdown = countdown;
    this.element.append(box);
  }
}

function problemBox(problem, account, { action, tone, sentence }) {
  const box = el(
    "div",
    { class: `alert alert--${tone}`, "data-testid": "problem", "data-code": problem.code },
    el("p", { class: "alert__title" }, problemTitle(problem)),
    el("p", {}, sentence),
  );
  if (problem.upstreamDetail) {
    box.append(el("p", {}, `${t("problem.upstream")} `, el("q", {}, problem.upstreamDetail)));
  }
  const wait = el("p", { class: "problem__wait", hidden: true });
  box.append(wait);
  const button = action && el("button", { type: "button", class: "button button--small", "data-testid": "retry" }, action.label);
  if (button) {
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-disabled") !== "true") action.act();
    });
    box.append(button);
  }
  box.append(reportBox(reportText(problem, account)));
  return { box, countdown: countDown(problem, wait, button) };
}

/** Says each second how long it is until it makes sense to try again; returns the interval's number, 0 where there is none. */
function countDown({ at, retryAfter }, wait, button) {
  if (!retryAfter) return 0;
  const show = () => {
    const left = Math.ceil(retryAfter - (Date.now() - at.getTime()) / 1000);
    setShown(wait, left > 0);
    setText(wait, left > 0 ? t("problem.retry_after", { count: left }) : "");
    if (button) setAttribute(button, "aria-disabled", left > 0 ? "true" : null);
    return left > 0;
  };
  if (!show()) return 0;
  const timer = setInterval(() => {
    if (!show()) clearInterval(timer);
  }, TICK_MS);
  return timer;
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
