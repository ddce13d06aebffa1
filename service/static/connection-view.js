/** Whether the account is connected, by whom, and the way to connect it. */

import { el, setAttribute, setShown, setText } from "./dom.js";
import { formatDay, t } from "./i18n.js";
import { ProblemSlot, problemTitle } from "./problem-view.js";
import { ReadinessView } from "./readiness-view.js";

/** The top of the page. */
export class ConnectionView {
  element = el("section", { class: "connection", "data-testid": "connection", "aria-labelledby": "connection-state" });

  #model;
  #wait;
  #account;
  #state = el("h2", { class: "connection__state", id: "connection-state", tabindex: "-1" });
  #toggle = el("button", { type: "button", class: "icon-button connection__toggle", "aria-expanded": "false", "data-testid": "connection-toggle" });
  #isOpen = false;
  #by = el("p", { class: "connection__by" });
  #readiness = new ReadinessView();
  #why = el("p", { class: "connection__why" });
  #offer = el("div", { class: "connection__offer" });
  #connect = el("button", { type: "button", class: "button button--primary", "data-testid": "connect" });
  #link = el("a", { class: "link", target: "_blank", rel: "noopener noreferrer", "data-testid": "connect-link" });
  #waiting = el("p", { class: "connection__waiting", role: "status" });
  #hint = el("p", { class: "connection__hint", role: "status", "data-testid": "connect-hint" });
  #again = el("button", { type: "button", class: "button button--small", "data-testid": "connection-again" });
  #role = el("p", { class: "role-note", "data-testid": "role-note" });
  #disconnect = el("button", { type: "button", class: "button button--link button--danger", "data-testid": "disconnect" });
  #problem;
  #onRetry;

  /**
   * @param {object} options
   * @param {import("./model.js").Model} options.model
   * @param {import("./connect.js").ConnectWait} options.wait
   * @param {string} options.account
   * @param {string | null} options.authorizeUrl
   * @param {HTMLElement} options.menu stands at the end of the first line
   * @param {{connect: (url: string) => void, followLink: () => void, disconnect: () => void, retry: () => void,
   *   askAgain: () => void}} options.on what the person does; `connect` is called within the click
   */
  constructor({ model, wait, account, authorizeUrl, menu, on }) {
    this.#model = model;
    this.#wait = wait;
    this.#account = account;
    this.#onRetry = on.retry;
    this.#problem = new ProblemSlot(account, () => this.focus());
    if (authorizeUrl) this.#link.href = authorizeUrl;
    this.#offer.append(this.#connect, this.#link, this.#waiting, this.#hint);
    this.element.append(
      el(
        "div",
        { class: "connection__head" },
        el("div", { class: "connection__line" }, el("span", { class: "connection__dot", "aria-hidden": "true" }), this.#state, this.#toggle),
        menu,
      ),
      this.#readiness.element,
      this.#by,
      this.#why,
      this.#offer,
      this.#again,
      this.#role,
      this.#problem.element,
      this.#disconnect,
    );
    this.#toggle.addEventListener("click", () => {
      this.#isOpen = !this.#isOpen;
      this.update();
    });
    this.#connect.addEventListener("click", () => on.connect(this.#link.href));
    this.#link.addEventListener("click", on.followLink);
    this.#again.addEventListener("click", () => {
      this.focus();
      on.askAgain();
    });
    this.#disconnect.addEventListener("click", on.disconnect);
  }

  /** Puts the focus on the state, for when the button that had it is gone. */
  focus() {
    this.#state.focus();
  }

  /** Brings everything up to date with the model, the wait and the language. */
  update() {
    const { status, statusProblem, isConnected, canManage } = this.#model;
    const connection = status?.connection;
    const state = connection?.state ?? (statusProblem ? "unknown" : "loading");
    setAttribute(this.element, "data-state", state);
    setText(this.#state, isGone(connection) ? t("connection.account_gone", { account: this.#account }) : t(`connection.${state}`, { account: this.#account }));
    const isOpen = this.#isOpen && isConnected;
    setShown(this.#toggle, isConnected);
    setAttribute(this.#toggle, "aria-expanded", String(isOpen));
    setAttribute(this.#toggle, "aria-label", t("connection.details"));
    setAttribute(this.#toggle, "title", t("connection.details"));
    this.#updateBy(connection, isOpen);
    this.#readiness.update(this.#model.readiness, isOpen);
    setAttribute(this.element, "data-ready", String(!this.#readiness.isTroubled));
    this.#updateWhy(connection);
    this.#updateOffer(connection);
    setText(this.#again, t("problem.retry"));
    // What Zendesk has said, it may take back: an admin may be one again.
    setShown(this.#again, ["account_gone", "admin_lost"].includes(connection?.reason));
    const note = isConnected && !canManage && !this.#model.isOutsider ? roleNote(status.user) : "";
    setText(this.#role, note);
    setShown(this.#role, note !== "");
    this.#problem.update(statusProblem, { action: { label: t("problem.retry"), act: this.#onRetry } });
    setText(this.#disconnect, t("disconnect.open"));
    setShown(this.#disconnect, isOpen && canManage);
  }

  #updateBy(connection, isOpen) {
    const isShown = isOpen && Boolean(connection.authorized_at);
    setShown(this.#by, isShown);
    if (!isShown) return;
    const day = formatDay(connection.authorized_at);
    const name = connection.authorized_by?.name;
    setText(this.#by, name ? t("connection.by", { name, day }) : t("connection.since", { day }));
  }

  #updateWhy(connection) {
    const why = whyConnect(connection);
    setText(this.#why, why);
    setShown(this.#why, why !== "");
  }

  #updateOffer(connection) {
    const isOffered = Boolean(connection) && !isGone(connection) && (connection.state !== "connected" || Boolean(connection.reason));
    setShown(this.#offer, isOffered);
    if (!isOffered) return;
    const isNew = connection.state === "not_connected";
    if (this.#model.status.authorize_url) setAttribute(this.#link, "href", this.#model.status.authorize_url);
    setText(this.#connect, t(isNew ? "connect.button" : "connect.again"));
    setText(this.#link, t("connect.link"));
    const { phase, failedCode } = this.#wait;
    const waiting = failedCode
      ? t("connect.failed", { title: problemTitle({ code: failedCode }) })
      : t(phase === "given_up" ? "connect.given_up" : "connect.waiting");
    setText(this.#waiting, phase === "idle" ? "" : waiting);
    setAttribute(this.#waiting, "data-waiting", String(phase !== "idle" && phase !== "given_up" && !failedCode));
    setText(this.#hint, phase === "long" || phase === "given_up" ? t("connect.hint") : "");
  }
}

/** There is nobody at this address who could connect. */
function isGone(connection) {
  return connection?.reason === "account_gone";
}

function whyConnect(connection) {
  if (!connection) return "";
  if (connection.reason) return t(`reason.${connection.reason}`);
  return connection.state === "not_connected" ? t("connect.why") : "";
}

/** Why there are no switches. */
function roleNote(user) {
  return t(user.reason ? `role.${user.reason}` : "role.not_a_manager");
}
