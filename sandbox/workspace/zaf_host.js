/**
 * Zendesk's side of the conversation with an app's SDK (ZAF v2), as the SDK's public source expects it
 * (github.com/zendesk/zendesk_app_framework_sdk at 956001b, 2026-08).
 */

export class AppFrame {
  #frame;
  #origin;
  #guid;
  #context;
  #values;
  #actions;
  #isRegistered = false;

  /**
   * @param {HTMLIFrameElement} frame
   * @param {object} options
   * @param {string} options.origin the app's own; messages of any other are ignored
   * @param {string} options.guid the frame's `app_guid`
   * @param {object} options.context what the app is told about where it is
   * @param {Record<string, () => unknown>} options.values answers to `get`, by path
   * @param {Record<string, (...args: unknown[]) => unknown>} options.actions what `invoke` does, by name
   */
  constructor(frame, { origin, guid, context, values, actions }) {
    this.#frame = frame;
    this.#origin = origin;
    this.#guid = guid;
    this.#context = context;
    this.#values = values;
    this.#actions = actions;
    window.addEventListener("message", this);
  }

  /** Ends the conversation. */
  close() {
    window.removeEventListener("message", this);
  }

  /** Tells the app of an event, once it is registered. */
  trigger(name, message) {
    if (this.#isRegistered) this.#post({ key: `zaf.${name}`, message });
  }

  handleEvent(event) {
    if (event.source !== this.#frame.contentWindow || event.origin !== this.#origin) return;
    const message = parsed(event.data);
    // The id comes first, as in Zendesk: a call has no key.
    if (message.id !== undefined && message.request) this.#answer(message);
    else if (message.key === "iframe.handshake") this.#register();
    else if (/^request:\d+$/.test(message.key ?? "")) this.#refuseRequest(message.key);
  }

  /** A client sends its handshake once, and is registered once: a second registration replays its queue. */
  #register() {
    this.#isRegistered = true;
    const metadata = { appId: 500001, installationId: this.#context.installationId, name: "ZIS job specs", version: "1", settings: {} };
    this.#post({ key: "zaf.app.registered", message: { metadata, context: { ...this.#context.shown, instanceGuid: this.#guid } } });
  }

  #answer({ id, request, params }) {
    const result = { errors: {} };
    if (request === "get") {
      for (const path of params ?? []) this.#put(result, path, () => this.#values[path], []);
    } else {
      for (const [name, args] of Object.entries(params ?? {})) {
        const table = request === "invoke" ? this.#actions : {};
        this.#put(result, name, () => table[name], [].concat(args));
      }
    }
    this.#post({ id, result });
  }

  #put(result, name, find, args) {
    const found = find();
    // An error without a name would count as an answer.
    if (found === undefined) result.errors[name] = { name: "APIUnavailable", message: `${name} is not simulated`, path: name };
    else result[name] = found(...args) ?? null;
  }

  #refuseRequest(key) {
    const answer = { status: 501, statusText: "Not simulated", responseText: "" };
    this.#post({ key: `zaf.${key}.fail`, message: { responseArgs: [answer] } });
  }

  #post(message) {
    this.#frame.contentWindow?.postMessage(JSON.stringify(message), this.#origin);
  }
}

function parsed(data) {
  if (typeof data !== "string") return data ?? {};
  try {
    return JSON.parse(data) ?? {};
  } catch {
    return {};
  }
}
