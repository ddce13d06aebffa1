/**
 * A stand-in for Zendesk's SDK: the app loads it in a sandbox, which needs no network, in place of
 * https://static.zdassets.com/zendesk_app_framework_sdk/2.0/zaf_sdk.min.js. Written from the SDK's messages
 * (github.com/zendesk/zendesk_app_framework_sdk at 956001b, 2026-08); only what a sidebar needs.
 */

(() => {
  const KNOWN = /^(https?:\/\/(localhost|127\.0\.0\.1)(:\d+)?|https:\/\/[a-z0-9-]+\.zendesk\.com)$/;

  class Client {
    #origin;
    #guid;
    #calls = 0;
    #waiting = new Map();
    #handlers = new Map();
    #queue = [];
    #told = null;

    constructor(origin, guid) {
      this.#origin = origin;
      this.#guid = guid;
      window.addEventListener("message", (event) => {
        if (event.origin === origin && event.source === window.parent) this.#hear(event.data);
      });
      this.#post({ key: "iframe.handshake", message: { version: "stand-in" } });
    }

    get(path) {
      return this.#call("get", [].concat(path));
    }

    set(path, value) {
      return this.#call("set", typeof path === "string" ? { [path]: value } : path);
    }

    invoke(name, ...args) {
      return this.#call("invoke", { [name]: args });
    }

    on(name, handler) {
      const handlers = this.#handlers.get(name) ?? [];
      this.#handlers.set(name, [...handlers, handler]);
      if (name === "app.registered") {
        if (this.#told) handler(this.#told);
        return;
      }
      this.#say({ key: `iframe.on:${name}`, message: { subscriberCount: handlers.length + 1 } });
    }

    off(name, handler) {
      const handlers = (this.#handlers.get(name) ?? []).filter((one) => handler && one !== handler);
      this.#handlers.set(name, handlers);
      this.#say({ key: `iframe.off:${name}`, message: { subscriberCount: handlers.length } });
    }

    trigger(name, data) {
      this.#say({ key: `iframe.trigger:${name}`, message: data });
    }

    #call(request, params) {
      this.#calls += 1;
      const id = this.#calls;
      return new Promise((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject, single: [].concat(params).length === 1 && !Array.isArray(params[0]) });
        this.#say({ id, request, params });
      });
    }

    /** Everything but the handshake waits for the registration. */
    #say(message) {
      if (this.#told) this.#post(message);
      else this.#queue.push(message);
    }

    #post(message) {
      const whole = { ...message, appGuid: this.#guid, instanceGuid: this.#guid };
      window.parent.postMessage(JSON.stringify(whole), this.#origin);
    }

    #hear(data) {
      const message = typeof data === "string" ? JSON.parse(data) : data;
      const call = this.#waiting.get(message.id);
      if (call) {
        this.#waiting.delete(message.id);
        const [error] = Object.values(message.result?.errors ?? {});
        if (message.error?.name || (call.single && error)) call.reject(Object.assign(new Error(), message.error ?? error));
        else call.resolve(message.result);
      } else if (message.key === "zaf.app.registered") {
        this.#told = message.message;
        for (const waiting of this.#queue.splice(0)) this.#post(waiting);
        this.#fire("app.registered", this.#told);
      } else if (message.key?.startsWith("zaf.")) {
        this.#fire(message.key.slice("zaf.".length), message.message);
      }
    }

    #fire(name, message) {
      for (const handler of this.#handlers.get(name) ?? []) handler(message);
    }
  }

  window.ZAFClient = {
    init(callback) {
      const query = new URLSearchParams(location.search);
      const [origin, guid] = [query.get("origin"), query.get("app_guid")];
      if (!origin || !guid) return false;
      if (!KNOWN.test(origin)) {
        document.body.textContent = `Invalid domain ${origin}`;
      }
      const client = new Client(origin, guid);
      if (callback) client.on("app.registered", callback);
      return client;
    },
  };
})();
