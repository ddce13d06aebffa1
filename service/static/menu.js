/** A button that opens a menu: arrows move in it, Escape and everything that leads away close it. */

import { el, setAttribute, setShown, setText } from "./dom.js";

let menus = 0;

/**
 * @typedef {object} Item
 * @property {string} id for tests
 * @property {() => string} label
 * @property {() => boolean} [isShown] always, where it is not given
 * @property {() => void} [act]
 * @property {string} [href] a link in place of an action; it opens in a new tab
 * @property {() => string} [hint] what stands below the label
 */

/** The button and its menu. */
export class Menu {
  element = el("div", { class: "menu" });

  #button;
  #list;
  #items;
  #label;

  /**
   * @param {() => string} label of the button
   * @param {Item[]} items
   */
  constructor(label, items) {
    menus += 1;
    const id = `menu-${menus}`;
    this.#label = label;
    this.#button = el("button", { type: "button", class: "icon-button menu__button", id: `${id}-button`, "aria-haspopup": "menu", "aria-expanded": "false", "aria-controls": id, "data-testid": "menu" });
    this.#list = el("div", { class: "menu__list", id, role: "menu", "aria-labelledby": `${id}-button`, hidden: true });
    this.#items = items.map((item) => ({ ...item, element: elementOf(item) }));
    this.#list.append(...this.#items.map(({ element }) => element));
    this.element.append(this.#button, this.#list);
    this.#button.addEventListener("click", () => (this.#isOpen ? this.#close() : this.#open(0)));
    this.element.addEventListener("keydown", (event) => this.#press(event));
    this.element.addEventListener("focusout", ({ relatedTarget }) => {
      if (!this.element.contains(relatedTarget)) this.#close();
    });
    // What takes no focus when it is clicked leads away, too.
    document.addEventListener("pointerdown", ({ target }) => {
      if (!this.element.contains(target)) this.#close();
    });
    for (const item of this.#items) item.element.addEventListener("click", () => this.#choose(item));
  }

  /** Puts the focus on the button. */
  focus() {
    this.#button.focus();
  }

  /** Writes the texts in the language of now, and shows what can be done now. */
  update() {
    setAttribute(this.#button, "aria-label", this.#label());
    setAttribute(this.#button, "title", this.#label());
    for (const { element, label, hint, isShown } of this.#items) {
      setText(element.firstChild, label());
      if (hint) setText(element.lastChild, hint());
      setShown(element, isShown?.() ?? true);
    }
  }

  get #isOpen() {
    return !this.#list.hidden;
  }

  #open(at) {
    this.update();
    this.#show(true);
    this.#shown().at(at)?.focus();
  }

  #close() {
    if (this.#isOpen) this.#show(false);
  }

  #show(isShown) {
    setShown(this.#list, isShown);
    document.body.classList.toggle("has-menu", isShown);
    setAttribute(this.#button, "aria-expanded", String(isShown));
  }

  #shown() {
    return this.#items.map(({ element }) => element).filter(({ hidden }) => !hidden);
  }

  #choose({ act }) {
    // Before it closes, so that a dialog gives the focus back to what is still there.
    this.#button.focus();
    this.#close();
    act?.();
  }

  #press(event) {
    const { key } = event;
    if (key === "Escape" && this.#isOpen) {
      this.#button.focus();
      this.#close();
    } else if (key === "Tab") {
      this.#close();
      return;
    } else if (!this.#isOpen && (key === "ArrowDown" || key === "ArrowUp")) {
      this.#open(key === "ArrowDown" ? 0 : -1);
    } else if (this.#isOpen) {
      const to = this.#placeAfter(key);
      if (to === null) return;
      to.focus();
    } else return;
    event.preventDefault();
  }

  /** The item that a key leads to; null: it is none of those that move. */
  #placeAfter(key) {
    const shown = this.#shown();
    const at = shown.indexOf(document.activeElement);
    const steps = { ArrowDown: (at + 1) % shown.length, ArrowUp: at - 1, Home: 0, End: -1 };
    return key in steps ? (shown.at(steps[key]) ?? null) : null;
  }
}

function elementOf({ id, href, hint }) {
  const common = { class: "menu__item", role: "menuitem", tabindex: "-1", "data-testid": id };
  const words = [el("span", { class: "menu__label" }), hint ? el("span", { class: "menu__hint" }) : null];
  if (href) return el("a", { ...common, href, target: "_blank", rel: "noopener noreferrer" }, ...words);
  return el("button", { ...common, type: "button" }, ...words);
}
