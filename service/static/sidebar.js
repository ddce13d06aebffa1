/** The page in Zendesk's sidebar: puts its parts together and lets the person act. */

import { ActivityView } from "./activity-view.js";
import { BulkDialog } from "./bulk-dialog.js";
import { ConnectWait, openConsent } from "./connect.js";
import { ConnectionView } from "./connection-view.js";
import { DisconnectDialog } from "./disconnect-dialog.js";
import { el, setText } from "./dom.js";
import { chooseLocale, t } from "./i18n.js";
import { ListView } from "./list-view.js";
import { Model } from "./model.js";
import { ProblemSlot, problemTitle } from "./problem-view.js";
import { Host } from "./zaf.js";
import { ZISClient, ZISProblem } from "./zis-client.js";

// A page that comes back to the front after this long looks again by itself.
const OUTDATED_AFTER_MS = 60_000;
const CHANGING = { install: "announce.installing", uninstall: "announce.uninstalling", reinstall: "announce.reinstalling" };

const bootstrap = JSON.parse(document.getElementById("bootstrap").textContent);
const { account } = bootstrap;

const client = new ZISClient({
  sessionToken: bootstrap.session_token,
  expiresIn: bootstrap.expires_in,
  apiBase: bootstrap.api_base,
  onSessionExpired: endSession,
});
const host = new Host({
  onLocale: (tag) => speak(tag),
  onScheme: (scheme) => {
    document.documentElement.dataset.scheme = scheme;
  },
});
const model = new Model({ client, onChange: update });
const wait = new ConnectWait({ ask: askForConnection, onChange: update });

const title = el("h1", { class: "app__title" });
const live = el("p", { class: "visually-hidden", role: "status", "data-testid": "live" });
const sessionOver = new ProblemSlot(account);
const connection = new ConnectionView({
  model,
  wait,
  account,
  authorizeUrl: bootstrap.authorize_url,
  on: { connect, followLink: startWaiting, disconnect: () => dialog.open(), retry: load },
});
const list = new ListView({ model, account, announce, on: { refresh, change: changeJobSpec, several: changeSeveral } });
const activity = new ActivityView(account, (limit) => client.activity(limit));
const bulk = new BulkDialog({ account, change: (key, action) => model.change(key, action), announce, onDone: () => activity.reload() });
const dialog = new DisconnectDialog(account, (options) => model.disconnect(options), disconnected);
const content = el("div", { class: "app__content" }, connection.element, activity.element, list.element);

let connectionBefore = null;
let loadedAt = 0;

start();

async function start() {
  host.load();
  const app = document.getElementById("app");
  await speak(navigator.language);
  const alerts = el("div", { class: "app__alerts", role: "alert", "data-testid": "session-over" }, sessionOver.element);
  app.replaceChildren(title, alerts, content, live, dialog.element, bulk.element);
  document.addEventListener("visibilitychange", () => {
    const isOutdated = Date.now() - loadedAt > OUTDATED_AFTER_MS;
    if (document.visibilityState === "visible" && isOutdated && !model.sessionOver) load();
  });
  await load();
  app.removeAttribute("aria-busy");
}

async function speak(tag) {
  await chooseLocale(tag);
  document.title = t("app.title");
  update();
}

function update() {
  setText(title, t("app.title"));
  sessionOver.update(model.sessionOver);
  content.inert = model.sessionOver !== null;
  connection.update();
  list.update();
  activity.update();
  dialog.update();
  bulk.update();
}

async function load() {
  loadedAt = Date.now();
  await Promise.all([model.loadStatus(), model.loadList()]);
}

async function refresh() {
  loadedAt = Date.now();
  await model.refresh();
  activity.reload();
  announce(model.listProblem ? problemTitle(model.listProblem) : t("list.refreshed", { count: model.specs?.size ?? 0 }));
}

async function changeJobSpec(key, action) {
  const { name } = model.specs.get(key);
  announce(t(CHANGING[action], { name }));
  const problem = await model.change(key, action);
  const { installed } = model.specs?.get(key) ?? {};
  if (problem) announce(t("announce.failed", { name, title: problemTitle(problem) }));
  else if (action === "reinstall") announce(t("announce.reinstalled", { name }));
  else announce(t(installed ? "announce.installed" : "announce.uninstalled", { name }));
  activity.reload();
}

function changeSeveral() {
  bulk.open(list.filtered(), list.isFiltered);
}

function connect(url) {
  openConsent(url);
  startWaiting();
}

function startWaiting() {
  connectionBefore = model.status?.connection ?? null;
  wait.start();
}

/** Whether a new grant is there: a connection where there was none, or one that is younger than the one before. */
async function askForConnection() {
  const hadFocus = connection.element.contains(document.activeElement);
  await model.loadStatus();
  const now = model.status?.connection;
  if (now?.state !== "connected") return false;
  if (connectionBefore?.state === "connected" && connectionBefore.authorized_at === now.authorized_at) return false;
  announce(t("announce.connected"));
  host.notify(t("announce.connected"));
  // The connect button is gone; whoever has gone on elsewhere stays there.
  if (hadFocus) connection.focus();
  model.refresh();
  activity.reload();
  return true;
}

function disconnected() {
  announce(t("announce.disconnected"));
  host.notify(t("announce.disconnected"));
  connection.focus();
  activity.reload();
}

/** Past 12 hours only Zendesk can open the page again. */
function endSession({ status, requestId }) {
  wait.stop();
  bulk.abandon();
  model.endSession(new ZISProblem({ code: "session_over", status, request_id: requestId }));
}

function announce(text) {
  setText(live, text);
}
