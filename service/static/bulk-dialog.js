/** Asks what is to be done to all job specs that are shown, does it under the person's eyes, and says what became of it. */

import { BulkRun } from "./bulk.js";
import { el, keepOpen, setAttribute, setShown, setText } from "./dom.js";
import { currentLocale, t } from "./i18n.js";
import { problemSentence, problemTitle, reportBox } from "./problem-view.js";

const ACTIONS = ["install", "uninstall", "reinstall"];
const LABELS = { install: "bulk.install", uninstall: "bulk.uninstall", reinstall: "bulk.reinstall" };
const EXPLANATIONS = { install: "bulk.install_why", uninstall: "bulk.uninstall_why", reinstall: "bulk.reinstall_why" };
const CONFIRMS = { install: "bulk.confirm_install", uninstall: "bulk.confirm_uninstall", reinstall: "bulk.confirm_reinstall" };
const RUNNING = { install: "bulk.installing", uninstall: "bulk.uninstalling", reinstall: "bulk.reinstalling" };
const DONE = { install: "bulk.installed", uninstall: "bulk.uninstalled", reinstall: "bulk.reinstalled" };

// The service takes 60 changes a minute of one person.
const A_MINUTE = 60;
// Every change would be too much to hear.
const ANNOUNCE_EVERY_MS = 5000;

/** A native dialog in three steps: the choice, the run, the result. */
export class BulkDialog {
  element = el("dialog", { class: "dialog", "aria-labelledby": "bulk-title", "data-testid": "bulk-dialog" });
  /** Where the page announces while it is open. */
  live = el("p", { class: "visually-hidden", role: "status" });

  #account;
  #change;
  #isInstalled;
  #announce;
  #onDone;
  #title = el("h2", { class: "dialog__title", id: "bulk-title", tabindex: "-1" });
  #choice = el("form", { class: "bulk__step", method: "dialog" });
  #scope = el("p");
  #options;
  #slow = el("p", { class: "dialog__note" });
  #cancel = el("button", { type: "button", class: "button", "data-testid": "bulk-cancel" });
  #confirm = el("button", { type: "submit", class: "button button--primary", "data-testid": "bulk-confirm" });
  #running = el("div", { class: "bulk__step", hidden: true });
  #progress = el("progress", { class: "progress", "data-testid": "bulk-progress" });
  #sentence = el("p", { "data-testid": "bulk-sentence" });
  #stop = el("button", { type: "button", class: "button", "data-testid": "bulk-stop" });
  #result = el("div", { class: "bulk__step", hidden: true, "data-testid": "bulk-result" });
  #again = el("button", { type: "button", class: "button", "data-testid": "bulk-again" });
  #close = el("button", { type: "button", class: "button button--primary", "data-testid": "bulk-close" });
  #items = { install: [], uninstall: [], reinstall: [] };
  #isFiltered = false;
  #run = null;
  #announcedAt = 0;
  #resultShown = "";

  /**
   * @param {object} options
   * @param {string} options.account
   * @param {import("./model.js").Model["changeSeveral"]} options.change
   * @param {(key: string) => boolean|undefined} options.isInstalled as the page knows it now; undefined: it is not listed
   * @param {(text: string) => void} options.announce
   * @param {() => void} options.onDone told when a run is over
   */
  constructor({ account, change, isInstalled, announce, onDone }) {
    this.#account = account;
    this.#change = change;
    this.#isInstalled = isInstalled;
    this.#announce = announce;
    this.#onDone = onDone;
    this.#options = Object.fromEntries(ACTIONS.map((action) => [action, new Choice(action)]));
    const buttons = (...those) => el("div", { class: "dialog__buttons" }, ...those);
    const options = ACTIONS.map((action) => this.#options[action].element);
    this.#choice.append(
      this.#scope,
      el("div", { class: "bulk__options", role: "radiogroup", "aria-labelledby": "bulk-title" }, ...options),
      this.#slow,
      buttons(this.#cancel, this.#confirm),
    );
    this.#running.append(this.#sentence, this.#progress, buttons(this.#stop));
    this.element.append(this.#title, this.#choice, this.#running, this.#result, this.live);
    this.#choice.addEventListener("change", () => this.update());
    this.#choice.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#chosen()) this.#start(this.#chosen(), this.#items[this.#chosen()]);
    });
    this.#cancel.addEventListener("click", () => this.element.close());
    this.#close.addEventListener("click", () => this.element.close());
    this.#stop.addEventListener("click", () => this.#run?.stop());
    this.#again.addEventListener("click", () => {
      const { action, failures, untried } = this.#run;
      this.#start(action, [...failures.map(({ item }) => item), ...untried]);
    });
    keepOpen(this.element, () => Boolean(this.#run) && !this.#run.isOver);
    this.element.addEventListener("close", () => document.body.classList.remove("has-dialog"));
  }

  /**
   * Shows the choice.
   *
   * @param {object[]} specs those shown on the page
   * @param {boolean} isFiltered whether there are others
   */
  open(specs, isFiltered) {
    const item = ({ key, spec }) => ({ key, name: spec.name, integration: spec.integration });
    const installed = specs.filter(({ spec }) => spec.installed).map(item);
    const others = specs.filter(({ spec }) => !spec.installed).map(item);
    this.#items = { install: others, uninstall: installed, reinstall: installed };
    this.#isFiltered = isFiltered;
    this.#run = null;
    for (const option of Object.values(this.#options)) option.input.checked = false;
    setText(this.live, "");
    this.update();
    document.body.classList.add("has-dialog");
    this.element.showModal();
    (ACTIONS.map((action) => this.#options[action].input).find((input) => !input.disabled) ?? this.#cancel).focus();
  }

  /** Ends a run, when the page can do nothing more. */
  abandon() {
    this.#run?.stop();
    if (this.element.open) this.element.close();
  }

  /** Writes everything in the language of now. */
  update() {
    const run = this.#run;
    setShown(this.#choice, !run);
    setShown(this.#running, Boolean(run) && !run.isOver);
    setShown(this.#result, Boolean(run) && run.isOver);
    if (!run) this.#updateChoice();
    else if (run.isOver) this.#updateResult(run);
    else this.#updateRunning(run);
  }

  #chosen() {
    return ACTIONS.find((action) => this.#options[action].input.checked && this.#items[action].length) ?? null;
  }

  #updateChoice() {
    // A list may have come since it was opened: what that shows otherwise is not meant any more.
    for (const action of ACTIONS) {
      this.#items[action] = this.#items[action].filter(({ key }) => this.#isInstalled(key) === (action !== "install"));
    }
    const count = this.#items.install.length + this.#items.uninstall.length;
    setText(this.#title, t("bulk.title"));
    setText(this.#scope, t(this.#isFiltered ? "bulk.scope_shown" : "bulk.scope_all", { count }));
    for (const action of ACTIONS) {
      const among = this.#items[action].length;
      this.#options[action].update(t(LABELS[action], { count: among }), t(EXPLANATIONS[action]), among > 0);
    }
    const chosen = this.#chosen();
    const all = chosen ? this.#items[chosen].length : 0;
    setShown(this.#slow, all > A_MINUTE);
    setText(this.#slow, t("bulk.slow", { count: Math.ceil(all / A_MINUTE) }));
    setText(this.#cancel, t("bulk.cancel"));
    setText(this.#confirm, chosen ? t(CONFIRMS[chosen], { count: all }) : t("bulk.choose"));
    this.#confirm.disabled = !chosen;
    this.#confirm.classList.toggle("button--danger", chosen === "uninstall");
  }

  #updateRunning(run) {
    const tried = run.done + run.failures.length;
    setText(this.#title, t(RUNNING[run.action], { count: run.total }));
    this.#progress.max = run.total;
    this.#progress.value = tried;
    setAttribute(this.#progress, "aria-label", t(RUNNING[run.action], { count: run.total }));
    const so = t("bulk.so_far", { tried, total: run.total });
    const failed = run.failures.length ? ` ${t("bulk.failed_so_far", { count: run.failures.length })}` : "";
    const waiting = run.waitSeconds ? ` ${t("bulk.waiting", { count: run.waitSeconds })}` : "";
    setText(this.#sentence, so + failed + waiting);
    setText(this.#stop, t(run.isStopping ? "bulk.stopping" : "bulk.stop"));
    setAttribute(this.#stop, "aria-disabled", run.isStopping ? "true" : null);
    if (Date.now() - this.#announcedAt < ANNOUNCE_EVERY_MS) return;
    this.#announcedAt = Date.now();
    this.#announce(so + failed + waiting);
  }

  #updateResult(run) {
    const left = run.untried.length;
    setText(this.#title, t(left ? "bulk.ended" : run.failures.length ? "bulk.done_partly" : "bulk.done"));
    setText(this.#again, t("bulk.again", { count: run.failures.length + left }));
    setShown(this.#again, run.failures.length + left > 0 && !run.isHopeless);
    setText(this.#close, t("bulk.close"));
    // Built once for each language: an open report stays open.
    if (this.#resultShown === currentLocale()) return;
    this.#resultShown = currentLocale();
    this.#result.replaceChildren(
      ...summaryOf(run).map((sentence) => el("p", {}, sentence)),
      ...(run.failures.length || run.endedBy ? [failureList(told(run)), reportBox(reportText(run, this.#account))] : []),
      el("div", { class: "dialog__buttons" }, this.#again, this.#close),
    );
  }

  async #start(action, items) {
    this.#announcedAt = 0;
    this.#resultShown = "";
    const run = new BulkRun({ items, action, change: this.#change, onChange: () => this.update() });
    this.#run = run;
    this.update();
    this.#stop.focus();
    await run.run();
    this.#onDone();
    if (!this.element.open) return;
    this.#announce(summaryOf(run, true).join(" "));
    this.#title.focus();
  }
}

/** One of the choices, with its count and what it means. */
class Choice {
  element = el("div", { class: "bulk__option" });
  input;
  #label;
  #why;

  constructor(action) {
    const id = `bulk-${action}`;
    this.input = el("input", { type: "radio", name: "bulk-action", id, value: action, "aria-describedby": `${id}-why` });
    setAttribute(this.input, "data-testid", id);
    this.#label = el("label", { for: id });
    this.#why = el("p", { class: "dialog__note", id: `${id}-why` });
    this.element.append(this.input, this.#label, this.#why);
  }

  update(label, why, isPossible) {
    setText(this.#label, label);
    setText(this.#why, why);
    this.input.disabled = !isPossible;
  }
}

/** @param {boolean} isAlone whether no reasons stand below; there, what ended the run has to be named only if they are several */
function summaryOf(run, isAlone = false) {
  const sentences = run.done ? [t(DONE[run.action], { count: run.done })] : [];
  if (run.failures.length) sentences.push(t("bulk.failed", { count: run.failures.length }));
  if (run.untried.length) sentences.push(t("bulk.untried", { count: run.untried.length }));
  const codes = new Set(told(run).map(({ problem }) => problem.code));
  if (run.endedBy && (isAlone || codes.size > 1)) sentences.push(t("bulk.ended_by", { title: problemTitle(run.endedBy) }));
  return sentences;
}

/** The failures, and what ended the run where that was told of no job spec: its `item` is null. */
function told({ failures, endedBy }) {
  const isTold = !endedBy || failures.some(({ problem }) => problem === endedBy);
  return isTold ? failures : [...failures, { item: null, problem: endedBy }];
}

/** Names what failed, under the reason it has in common. */
function failureList(failures) {
  const byCode = new Map();
  for (const failure of failures) {
    const { code } = failure.problem;
    if (!byCode.has(code)) byCode.set(code, []);
    byCode.get(code).push(failure);
  }
  const groups = [...byCode.values()].map(failureGroup);
  return el("div", { class: "bulk__failures", tabindex: "0", role: "group", "aria-label": t("bulk.failures") }, ...groups);
}

function failureGroup(failures) {
  const [{ problem }] = failures;
  const isSame = (member) => failures.every((failure) => failure.problem[member] === problem[member]);
  // Zendesk's words often name the job spec.
  const isSaidOnce = isSame("upstreamDetail");
  const quoted = (words) => (words ? [`${t("problem.upstream")} `, el("q", {}, words)] : []);
  const one = ({ item, problem: own }) =>
    el("li", {}, `${item.name} (${item.integration})`, ...(isSaidOnce ? [] : [el("p", { class: "bulk__words" }, ...quoted(own.upstreamDetail))]));
  return el(
    "div",
    { class: "alert alert--error", "data-testid": "bulk-failure", "data-code": problem.code },
    el("p", { class: "alert__title" }, problemTitle(problem)),
    el("p", {}, problemSentence(problem, integrationOf(failures))),
    isSaidOnce && problem.upstreamDetail ? el("p", {}, ...quoted(problem.upstreamDetail)) : null,
    el("ul", { class: "bulk__names" }, ...failures.filter(({ item }) => item).map(one)),
  );
}

/** The one that all of them are of; null: there are several. */
function integrationOf(failures) {
  const names = new Set(failures.map(({ item }) => item?.integration));
  return names.size === 1 ? ([...names][0] ?? null) : null;
}

/** In English, for whoever runs the service. */
function reportText(run, account) {
  const { action, done, total, untried } = run;
  const lines = [`account: ${account}`, `action: ${action}`, `changed: ${done} of ${total}`, `not tried: ${untried.length}`];
  for (const { item, problem } of told(run)) {
    const time = problem.at.toISOString();
    lines.push(`${time} ${item ? `${item.integration}/${item.name}` : "the rest"}: ${problem.code}, request ${problem.requestId ?? "unknown"}`);
  }
  return lines.join("\n");
}
