/**
 * The Zendesk page around us, by way of its SDK (ZAF v2). The SDK may come late or never: nothing waits for it.
 */

// A simulated Zendesk (a sandbox) has a stand-in, so that no network is needed; elsewhere the page policy keeps that out.
const SIMULATED_ORIGIN = /^http:\/\/(localhost|127\.0\.0\.1)(:\d+)?$/i;
const STAND_IN = "/_workspace/zaf_sdk.js";
const SDK = "https://static.zdassets.com/zendesk_app_framework_sdk/2.0/zaf_sdk.min.js";

// The SDK wipes a page whose `origin` it does not know, so it is not loaded for one.
const KNOWN_ORIGIN = /^(https:\/\/[a-z0-9-]+\.zendesk\.com|https?:\/\/(localhost|127\.0\.0\.1)(:\d+)?)$/i;

// A ticket's sidebar is shared with other apps: a long list scrolls inside our frame.
const TALLEST_PX = 720;

/** The host of our frame; without the SDK every call does nothing. */
export class Host {
  #client = null;
  #height = 0;
  #inSidebar = true;
  #onLocale;
  #onScheme;
  #onActivated;

  /**
   * @param {object} options
   * @param {(tag: string) => void} options.onLocale told once the person's Zendesk language is known
   * @param {(scheme: "light"|"dark") => void} options.onScheme told once they are known and whenever Zendesk changes its
   *   colours
   * @param {() => void} options.onActivated told whenever Zendesk shows the page, be it again
   */
  constructor({ onLocale, onScheme, onActivated }) {
    this.#onLocale = onLocale;
    this.#onScheme = onScheme;
    this.#onActivated = onActivated;
  }

  /** Asks for the SDK and returns at once. */
  load() {
    const query = new URLSearchParams(location.search);
    const origin = query.get("origin") ?? "";
    if (window.parent === window || !query.has("app_guid") || !KNOWN_ORIGIN.test(origin)) return;
    const script = document.createElement("script");
    script.src = SIMULATED_ORIGIN.test(origin) ? `${origin}${STAND_IN}` : SDK;
    script.async = true;
    script.addEventListener("load", () => this.#init());
    document.head.append(script);
  }

  /**
   * Shows a short message at the top of Zendesk's page.
   *
   * @param {string} text of our own; Zendesk may take it for markup, so no foreign words
   * @param {"notice"|"alert"|"error"} kind
   */
  notify(text, kind = "notice") {
    this.#invoke("notify", text, kind);
  }

  #init() {
    try {
      this.#client = globalThis.ZAFClient?.init(({ context }) => this.#registered(context)) || null;
    } catch {
      // It throws on an odd `origin` or `app_guid`; the page works without it.
      return;
    }
    this.#client?.on("colorScheme.changed", (scheme) => this.#tellScheme(scheme));
    // Of a ticket's tab, and of a place in the navigation bar.
    for (const place of ["app", "pane"]) this.#client?.on(`${place}.activated`, () => this.#onActivated());
  }

  #registered(context) {
    this.#inSidebar = context?.location !== "nav_bar";
    this.#ask("currentUser.locale", (tag) => this.#onLocale(tag));
    this.#ask("colorScheme", (scheme) => this.#tellScheme(scheme));
    if (this.#inSidebar) new ResizeObserver(() => this.#resize()).observe(document.body);
  }

  #tellScheme(scheme) {
    if (scheme === "light" || scheme === "dark") this.#onScheme(scheme);
  }

  #resize() {
    const height = Math.min(Math.ceil(document.body.getBoundingClientRect().height), TALLEST_PX);
    if (height === this.#height) return;
    this.#height = height;
    this.#invoke("resize", { width: "100%", height: `${height}px` });
  }

  async #ask(path, tell) {
    try {
      const answer = await this.#client.get(path);
      if (typeof answer?.[path] === "string") tell(answer[path]);
    } catch {
      // An older host does not know the path.
    }
  }

  async #invoke(...call) {
    try {
      await this.#client?.invoke(...call);
    } catch {
      // Only comfort; there is nothing to do about it.
    }
  }
}
