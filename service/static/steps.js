/** Long work in steps between which the browser paints and listens. */

// Styles, layout and painting included: two frames, which nobody feels. How many items that is differs tenfold by browser.
const STEP_MS = 30;
const FIRST_ITEMS = 40;
const FEWEST_ITEMS = 10;
const MOST_ITEMS = 200;

/** Does something with many items, before each of the next frames with as many as the browser can take. */
export class Steps {
  #act;
  #items = [];
  #size = FIRST_ITEMS;

  /**
   * @param {(items: any[]) => void} act
   */
  constructor(act) {
    this.#act = act;
  }

  /**
   * Begins with these items, and drops what is left of those before.
   *
   * @param {any[]} items
   */
  start(items) {
    this.#items = items;
    // What has been done already is painted first.
    requestAnimationFrame(() => this.#goOn(items));
  }

  #goOn(items) {
    if (!items.length) return;
    requestAnimationFrame(() => {
      if (this.#items !== items) return;
      const began = performance.now();
      this.#act(items.splice(0, this.#size));
      // The browser comes to this after it has painted what has just been done.
      setTimeout(() => {
        const fitting = Math.round((this.#size * STEP_MS) / Math.max(1, performance.now() - began));
        this.#size = Math.max(FEWEST_ITEMS, Math.min(fitting, 2 * this.#size, MOST_ITEMS));
        this.#goOn(items);
      });
    });
  }
}
