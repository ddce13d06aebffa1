/**
 * Waiting for a person who authorizes in another window.
 *
 * Asking the service is the mechanism. The other window's message only makes us ask sooner, and a window that looks closed
 * or never opened proves nothing: pages at Zendesk may cut the tie between the windows.
 */

const ASK_EVERY_MS = 2000;
const GIVE_UP_AFTER_MS = 10 * 60_000;
// Zendesk shows its own error page for a wrong client or redirect address and does not come back.
const HINT_AFTER_MS = 2 * 60_000;

/**
 * Opens the consent page. To be called in the click itself, or the browser takes it for an unwanted window.
 *
 * @param {string} url
 */
export function openConsent(url) {
  // A window left from an earlier click is used again, and may lie behind this one.
  window.open(url, "zis-oauth", "popup,width=640,height=760")?.focus();
}

/** One wait for a connection, from a click to the result or the tenth minute. */
export class ConnectWait {
  /** @type {"idle"|"waiting"|"long"|"given_up"} `long`: time for the hint */
  phase = "idle";
  /** @type {string|null} the code of an attempt that the other window reported as failed */
  failedCode = null;

  #ask;
  #onChange;
  #timer = 0;
  #since = 0;

  /**
   * @param {object} options
   * @param {() => Promise<boolean>} options.ask whether the wait is over
   * @param {() => void} options.onChange `phase` or `failedCode` has changed
   */
  constructor({ ask, onChange }) {
    this.#ask = ask;
    this.#onChange = onChange;
    addEventListener("message", (event) => this.#hear(event));
  }

  /** Starts, or starts anew. */
  start() {
    this.#since = Date.now();
    this.failedCode = null;
    this.#become("waiting");
    this.#schedule();
  }

  /** Ends the wait, whatever came of it. */
  stop() {
    clearTimeout(this.#timer);
    this.failedCode = null;
    this.#become("idle");
  }

  #become(phase) {
    this.phase = phase;
    this.#onChange();
  }

  #schedule(delay = ASK_EVERY_MS) {
    clearTimeout(this.#timer);
    const since = this.#since;
    this.#timer = setTimeout(async () => {
      const over = await this.#ask();
      // Another click, or the end, may have come while the service was asked.
      if (since !== this.#since || !this.#isWaiting()) return;
      if (over) this.stop();
      else this.#goOn();
    }, delay);
  }

  #goOn() {
    const waited = Date.now() - this.#since;
    if (waited >= GIVE_UP_AFTER_MS) {
      this.#become("given_up");
      return;
    }
    if (waited >= HINT_AFTER_MS && this.phase === "waiting") this.#become("long");
    this.#schedule();
  }

  #hear(event) {
    if (event.origin !== location.origin || event.data?.type !== "zis-oauth" || !this.#isWaiting()) return;
    this.failedCode = event.data.result === "failed" ? String(event.data.code) : null;
    this.#onChange();
    this.#schedule(0);
  }

  #isWaiting() {
    return this.phase === "waiting" || this.phase === "long";
  }
}
