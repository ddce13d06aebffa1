/** The page of one account's job specs: puts its parts together and lets the person act. */

import { ActivityView } from "./activity-view.js";
import { adminCenterOf } from "./admin-center.js";
import { BulkDialog } from "./bulk-dialog.js";
import { ConnectWait, openConsent } from "./connect.js";
import { ConnectionView } from "./connection-view.js";
import { DisconnectDialog } from "./disconnect-dialog.js";
import { el, setText } from "./dom.js";
import { chooseLocale, t } from "./i18n.js";
import { ListView } from "./list-view.js";
import { Menu } from "./menu.js";
import { Model } from "./model.js";
import { ProblemSlot, problemTitle } from "./problem-view.js";
import { whenSeen } from "./seen.js";
import { ZISClient, ZISProblem } from "./zis-client.js";

// What is older than this is looked at again when the page comes into sight.
const OUTDATED_AFTER_MS = 60_000;
const CHANGING = { install: "announce.installing", uninstall: "announce.uninstalling", reinstall: "announce.reinstalling" };

/** The page, for whoever has a session; what surrounds it may say which language and colours it is to have. */
export class Page {
  #bootstrap;
  #model;
  #wait;
  #title = el("h1", { class: "app__title" });
  #live = el("p", { class: "visually-hidden", role: "status", "data-testid": "live" });
  #sessionOver;
  #connection;
  #list;
  #menu;
  #activity;
  #bulk;
  #dialog;
  #content;
  #notify;
  #onSessionOver;
  #connectionBefore = null;
  #lookedAt = Date.now();

  /**
   * @param {object} bootstrap session and account; `status` and `list` as far as they were at hand, else null
   * @param {object} [host]
   * @param {(text: string) => void} [host.notify] shows a short message of ours outside of the page
   * @param {() => void} [host.onSessionOver] told when the page has to be opened anew
   */
  constructor(bootstrap, { notify = () => {}, onSessionOver = () => {} } = {}) {
    const { account } = bootstrap;
    this.#bootstrap = bootstrap;
    this.#notify = notify;
    this.#onSessionOver = onSessionOver;
    const client = new ZISClient({
      sessionToken: bootstrap.session_token,
      expiresIn: bootstrap.expires_in,
      apiBase: bootstrap.api_base,
      onSessionExpired: (problem) => this.#endSession(problem),
    });
    const onChange = () => this.#update();
    const announce = (text) => this.#announce(text);
    this.#model = new Model({ client, onChange });
    this.#wait = new ConnectWait({ ask: () => this.#askForConnection(), onChange });
    this.#sessionOver = new ProblemSlot(account);
    this.#menu = new Menu(() => t("menu.open"), [
      {
        id: "several",
        label: () => t("bulk.open"),
        isShown: () => this.#list.canChangeSeveral,
        act: () => this.#bulk.open(this.#list.takeFiltered(), this.#list.isFiltered),
      },
      { id: "activity-open", label: () => t("activity.title"), act: () => this.#activity.open() },
      { id: "log", label: () => t("menu.log"), hint: () => t("menu.log_way"), href: adminCenterOf(account) },
    ]);
    this.#connection = new ConnectionView({
      model: this.#model,
      wait: this.#wait,
      account,
      authorizeUrl: bootstrap.authorize_url,
      menu: this.#menu.element,
      on: {
        connect: (url) => {
          openConsent(url);
          this.#startWaiting();
        },
        followLink: () => this.#startWaiting(),
        disconnect: () => this.#dialog.open(),
        retry: () => this.#announceAsking(this.#load()),
        askAgain: () => this.#refresh(),
      },
    });
    this.#list = new ListView({
      model: this.#model,
      account,
      announce,
      on: {
        refresh: () => this.#refresh(),
        change: (key, action) => this.#change(key, action),
      },
    });
    this.#activity = new ActivityView(account, (limit) => client.activity(limit), () => this.#menu.focus());
    const change = (keys, action) => this.#model.changeSeveral(keys, action);
    const isInstalled = (key) => this.#model.specs?.get(key)?.installed;
    this.#bulk = new BulkDialog({ account, change, isInstalled, announce, onDone: () => this.#activity.reload() });
    const disconnect = (options) => this.#model.disconnect(options);
    this.#dialog = new DisconnectDialog({ account, disconnect, announce, onDone: () => this.#disconnected() });
    const parts = [this.#connection, this.#activity, this.#list].map(({ element }) => element);
    this.#content = el("div", { class: "app__content" }, ...parts);
  }

  /** Shows what the page came with, before anything is asked; then asks for what it lacks. */
  async open() {
    const app = document.getElementById("app");
    const alerts = el("div", { class: "app__alerts", role: "alert", "data-testid": "session-over" }, this.#sessionOver.element);
    this.#model.open(this.#bootstrap);
    // Known already where the texts came along.
    await this.speak(navigator.language);
    app.replaceChildren(this.#title, alerts, this.#content, this.#live, this.#dialog.element, this.#bulk.element);
    if (this.#bootstrap.status) app.removeAttribute("aria-busy");
    whenSeen(() => this.lookAgain());
    await this.#complete();
    app.removeAttribute("aria-busy");
  }

  /**
   * Says everything in another language.
   *
   * @param {string} tag
   */
  async speak(tag) {
    await chooseLocale(tag);
    document.title = t("app.title");
    this.#update();
  }

  /** Looks again behind what is shown, if that is old. */
  async lookAgain() {
    if (Date.now() - this.#lookedAt <= OUTDATED_AFTER_MS || this.#model.sessionOver) return;
    await this.#load({ quiet: this.#model.specs !== null });
  }

  #update() {
    setText(this.#title, t("app.title"));
    this.#sessionOver.update(this.#model.sessionOver);
    this.#content.inert = this.#model.sessionOver !== null;
    this.#connection.update();
    this.#list.update();
    this.#menu.update();
    this.#activity.update();
    this.#dialog.update();
    this.#bulk.update();
  }

  async #load({ quiet = false } = {}) {
    this.#lookedAt = Date.now();
    await Promise.all([this.#model.loadStatus(), this.#model.loadList({ quiet })]);
  }

  /** Asks for what the page did not come with, and anew for what was stale in it. */
  async #complete() {
    const { status, list } = this.#bootstrap;
    if (!status) await this.#load();
    else if (this.#model.isConnected && !list) await this.#model.loadList();
    else if (this.#model.isConnected && list.integrations.some(({ stale }) => stale)) await this.#model.loadList({ quiet: true });
  }

  async #refresh() {
    this.#lookedAt = Date.now();
    await this.#announceAsking(this.#model.refresh());
    this.#activity.reload();
  }

  /** Announces the beginning, too: an outcome that is the same again would not be heard without anything before it. */
  async #announceAsking(asking) {
    this.#announce(t("list.refreshing"));
    await asking;
    const { sessionOver, listProblem, statusProblem, specs } = this.#model;
    // That is an alert by itself.
    if (sessionOver) return;
    const problem = listProblem ?? statusProblem;
    this.#announce(problem ? problemTitle(problem) : t("list.refreshed", { count: specs?.size ?? 0 }));
  }

  async #change(key, action) {
    const { name } = this.#model.specs.get(key);
    this.#announce(t(CHANGING[action], { name }));
    const problem = await this.#model.change(key, action);
    const { installed } = this.#model.specs?.get(key) ?? {};
    if (problem) this.#announce(t("announce.failed", { name, title: problemTitle(problem) }));
    else if (action === "reinstall") this.#announce(t("announce.reinstalled", { name }));
    // Its row may be gone from the list meanwhile.
    else this.#announce(t((installed ?? action !== "uninstall") ? "announce.installed" : "announce.uninstalled", { name }));
    this.#activity.reload();
  }

  #startWaiting() {
    this.#connectionBefore = this.#model.status?.connection ?? null;
    this.#wait.start();
  }

  /** Whether a new grant is there: a connection where there was none, or one that is younger than the one before. */
  async #askForConnection() {
    const hadFocus = this.#connection.element.contains(document.activeElement);
    await this.#model.loadStatus();
    const [before, now] = [this.#connectionBefore, this.#model.status?.connection];
    if (now?.state !== "connected") return false;
    if (before?.state === "connected" && before.authorized_at === now.authorized_at) return false;
    // Asked by the clock and by the other window at the same time, it is told once.
    this.#connectionBefore = now;
    this.#announce(t("announce.connected"));
    this.#notify(t("announce.connected"));
    // The connect button is gone; whoever has gone on elsewhere stays there.
    if (hadFocus) this.#connection.focus();
    this.#model.refresh();
    this.#activity.reload();
    return true;
  }

  #disconnected() {
    this.#announce(t("announce.disconnected"));
    this.#notify(t("announce.disconnected"));
    this.#connection.focus();
    this.#activity.reload();
  }

  /** Past 12 hours only Zendesk can open the page again. */
  #endSession({ status, requestId }) {
    this.#wait.stop();
    this.#bulk.abandon();
    this.#dialog.abandon();
    this.#model.endSession(new ZISProblem({ code: "session_over", status, request_id: requestId }));
    this.#onSessionOver();
  }

  #announce(text) {
    // All around an open dialog is inert, and some screen readers do not hear it.
    const dialog = [this.#bulk, this.#dialog].find(({ element }) => element.open);
    setText(dialog?.live ?? this.#live, text);
  }
}
