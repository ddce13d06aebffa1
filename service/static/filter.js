/** The text field and the choice above the list. */

import { el, setAttribute, setText } from "./dom.js";
import { t } from "./i18n.js";

/** What the person wants to see of the list. */
export class Filter {
  element = el("div", { class: "filter", role: "search" });

  #text = el("input", { type: "search", class: "input", "data-testid": "filter", autocomplete: "off", spellcheck: "false" });
  #which = el("select", { class: "input input--select", "data-testid": "filter-installed" });
  #options = ["all", "installed", "not_installed"].map((value) => el("option", { value }));

  /**
   * @param {() => void} onChange
   */
  constructor(onChange) {
    this.#which.append(...this.#options);
    this.element.append(this.#text, this.#which);
    this.#text.addEventListener("input", onChange);
    this.#which.addEventListener("change", onChange);
  }

  /** @returns {boolean} whether anything may be left out */
  get isActive() {
    return this.#text.value.trim() !== "" || this.#which.value !== "all";
  }

  /** Shows everything again. */
  clear() {
    this.#text.value = "";
    this.#which.value = "all";
    this.#text.focus();
  }

  /** Writes the labels in the language of now. */
  relabel() {
    setAttribute(this.#text, "aria-label", t("filter.text"));
    setAttribute(this.#text, "placeholder", t("filter.short"));
    setAttribute(this.#which, "aria-label", t("filter.which"));
    for (const option of this.#options) setText(option, t(`filter.which.${option.value}`));
  }

  /**
   * A test for rows: every word typed occurs somewhere in the row's text.
   *
   * @returns {(searchText: string, isInstalled: boolean) => boolean}
   */
  test() {
    const words = this.#text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const which = this.#which.value;
    return (searchText, isInstalled) =>
      (which === "all" || isInstalled === (which === "installed")) && words.every((word) => searchText.includes(word));
  }
}
