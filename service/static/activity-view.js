/** Who did what lately, shown on request. */

import { adminCenterOf } from "./admin-center.js";
import { el, setAttribute, setShown, setText } from "./dom.js";
import { currentLocale, formatTime, t } from "./i18n.js";
import { ProblemSlot, problemTitle } from "./problem-view.js";
import { ZISProblem } from "./zis-problem.js";

const FIRST = 20;
// The most the service gives.
const MOST = 200;

const DONE = {
  connected: "activity.connected",
  disconnected: "activity.disconnected",
  installed: "activity.installed",
  rearmed: "activity.rearmed",
  uninstalled: "activity.uninstalled",
  reauthorization_required: "activity.reauthorization_required",
};
const TRIED = {
  connected: "activity.tried_connected",
  disconnected: "activity.tried_disconnected",
  installed: "activity.tried_installed",
  rearmed: "activity.tried_rearmed",
  uninstalled: "activity.tried_uninstalled",
};

/** A part of the page that asks for the activity when it is opened, and anew after every change while it is open. */
export class ActivityView {
  element = el("section", { class: "activity", "data-testid": "activity", "aria-labelledby": "activity-title", hidden: true });

  #load;
  #title = el("h2", { class: "activity__title", id: "activity-title", tabindex: "-1" });
  #close = el("button", { type: "button", class: "icon-button activity__close", "data-testid": "activity-close" });
  #list = el("ol", { class: "activity__list", tabindex: "0" });
  #loading = el("p", { class: "loading" });
  #none = el("p", { class: "activity__none" });
  #more = el("button", { type: "button", class: "button button--small", "data-testid": "activity-more" });
  // This tells who switched; only Zendesk knows what ran.
  #log = el("span");
  #logLink = el("a", { target: "_blank", rel: "noopener noreferrer", "data-testid": "activity-log" });
  #problem;
  #entries = null;
  #failure = null;
  #limit = FIRST;
  #shown = "";
  #asked = 0;

  /**
   * @param {string} account
   * @param {(limit: number) => Promise<{activity: object[]}>} load
   * @param {() => void} onClose told when the person has closed it, and the focus is gone with it
   */
  constructor(account, load, onClose) {
    this.#load = load;
    this.#problem = new ProblemSlot(account, () => this.#title.focus());
    this.#logLink.href = adminCenterOf(account);
    this.element.append(
      el("div", { class: "activity__head" }, this.#title, this.#close),
      this.#problem.element,
      this.#list,
      this.#none,
      this.#loading,
      this.#more,
      el("p", { class: "activity__log" }, this.#log, " ", this.#logLink),
    );
    this.#close.addEventListener("click", () => {
      setShown(this.element, false);
      onClose();
    });
    this.#more.addEventListener("click", () => {
      this.#limit = MOST;
      // The button goes, and must not take the focus with it.
      this.#list.focus();
      this.reload();
    });
  }

  /** Shows it and puts the focus there. */
  open() {
    setShown(this.element, true);
    this.#title.focus();
    this.reload();
  }

  /** Asks again, if it is open. */
  async reload() {
    if (this.element.hidden) return;
    const asked = ++this.#asked;
    this.update();
    try {
      const { activity } = await this.#load(this.#limit);
      if (asked !== this.#asked) return;
      this.#entries = activity;
      this.#failure = null;
    } catch (problem) {
      if (!(problem instanceof ZISProblem)) throw problem;
      if (asked !== this.#asked) return;
      this.#failure = problem;
    }
    this.update();
  }

  /** Writes everything in the language of now. */
  update() {
    setText(this.#title, t("activity.title"));
    setAttribute(this.#close, "aria-label", t("activity.close"));
    setAttribute(this.#close, "title", t("activity.close"));
    setText(this.#log, t("activity.log"));
    setText(this.#logLink, t("activity.log_link"));
    setText(this.#loading, t("activity.loading"));
    setText(this.#none, t("activity.none"));
    setText(this.#more, t("activity.more"));
    this.#problem.update(this.#failure, { action: { label: t("problem.retry"), act: () => this.reload() } });
    setShown(this.#loading, this.#entries === null && this.#failure === null);
    setShown(this.#none, this.#entries?.length === 0);
    setShown(this.#more, this.#limit < MOST && this.#entries?.length === this.#limit);
    const shown = `${currentLocale()} ${JSON.stringify(this.#entries)}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#list.replaceChildren(...(this.#entries ?? []).map(entryOf));
  }
}

function entryOf(entry) {
  const isDone = entry.result === "ok";
  const item = el("li", { class: "activity__entry", "data-testid": "activity-entry" });
  const names = entry.items ?? [];
  const several = names.length ? t("activity.several", { count: names.length }) : "";
  const values = { actor: actorName(entry.actor), name: entry.job_spec ?? several };
  item.append(el("p", {}, t((isDone ? DONE : TRIED)[entry.action] ?? "activity.other", values)));
  if (!isDone) item.append(el("p", { class: "activity__result" }, problemTitle({ code: entry.result })));
  const times = entry.count > Math.max(1, names.length) ? ` · ${t("activity.times", { count: entry.count })}` : "";
  const where = entry.integration && values.name ? ` · ${entry.integration}` : "";
  const time = el("time", { datetime: entry.at }, formatTime(new Date(entry.at)));
  setAttribute(time, "title", entry.at);
  item.append(el("p", { class: "activity__when" }, time, where, times));
  if (names.length) item.append(namesOf(names));
  return item;
}

/** The names of a bulk's job specs, shown on request. */
function namesOf(names) {
  const list = el("ul", { class: "activity__names" }, ...names.map((name) => el("li", {}, name)));
  return el("details", { "data-testid": "activity-names" }, el("summary", {}, t("activity.names")), list);
}

function actorName(actor) {
  if (actor === "operator") return t("activity.operator");
  return actor?.name || (actor?.id ? t("activity.user", { id: String(actor.id) }) : t("activity.somebody"));
}
