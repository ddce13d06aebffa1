/** Which integrations can be used: the count at a glance, each one on request. */

import { el, setAttribute, setShown, setText } from "./dom.js";
import { t } from "./i18n.js";

const STATES = {
  ready: "readiness.short.ready",
  unknown: "readiness.short.unknown",
  mismatch: "readiness.short.mismatch",
  not_registered: "readiness.short.not_registered",
  forbidden: "readiness.short.forbidden",
  unavailable: "readiness.short.unavailable",
};

/** The count, shown where it has something to say or the card is open, and the list, shown where the card is open. */
export class ReadinessView {
  element = el("div", { class: "readiness", "data-testid": "integrations-ready", hidden: true });

  /** Whether something is known to be wrong with one of them. */
  isTroubled = false;

  #summary = el("p", { class: "readiness__summary" });
  #list = el("ul", { class: "readiness__list" });

  constructor() {
    this.element.append(this.#summary, this.#list);
  }

  /**
   * @param {{name: string, state: string}[]|null} integrations null: nothing to show
   * @param {boolean} isOpen
   */
  update(integrations, isOpen) {
    if (!integrations?.length) {
      this.isTroubled = false;
      setShown(this.element, false);
      return;
    }
    const ready = integrations.filter(({ state }) => state === "ready").length;
    this.isTroubled = integrations.some(({ state }) => state !== "ready" && state !== "unknown");
    setShown(this.element, isOpen || this.isTroubled);
    setShown(this.#list, isOpen);
    setText(this.#summary, t("readiness.count", { count: integrations.length, ready }));
    setAttribute(this.element, "data-ready", this.isTroubled ? "false" : "true");
    const items = integrations.map(({ name, state }) =>
      el(
        "li",
        { class: "readiness__one", "data-state": state },
        el("span", { class: "readiness__name" }, name),
        el("span", { class: "readiness__state" }, t(STATES[state] ?? STATES.unknown)),
      ),
    );
    this.#list.replaceChildren(...items);
  }
}
