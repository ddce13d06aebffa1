/** The agent workspace: opens the sidebar as Zendesk does, shows what Zendesk has, and makes things happen. */

import { ACTIONS, FAULTS, SWITCHES } from "./happenings.js";
import { JobSpecPanel } from "./job_spec_panel.js";
import { ask } from "./control.js";
import { AppFrame } from "./zaf_host.js";

// A change in Zendesk should be seen while the finger is still on the button.
const POLL_MILLISECONDS = 1000;
const TOAST_MILLISECONDS = 6000;
const NAMES = ["account", "user", "location", "locale", "scheme", "signature"];
// Claims and keys that are wrong on purpose.
const SIGNATURES = {
  ok: {},
  expired: { expired: true },
  wrong_key: { wrong_key: true },
  wrong_aud: { claims: { aud: "https://elsewhere.zendesk.com/api/v2/apps/installations/1.json" } },
  hs256: { alg: "HS256" },
};

const service = document.documentElement.dataset.service;
const choice = Object.fromEntries(NAMES.map((name) => [name, document.getElementById(name)]));
const panel = new JobSpecPanel(document.getElementById("job-specs"), document.getElementById("news"));
let accounts = [];
let account = null;
let app = null;
let token = null;
// Of two openings on their way the later one counts.
let openings = 0;

// --- the app's frame ---

/** Opens the app: with a newly signed request, or (a reload) with the same one again. */
async function open({ again = false } = {}) {
  openings += 1;
  const opening = openings;
  if (!again || !token) {
    const asked = { account: choice.account.value, user_id: Number(choice.user.value), location: choice.location.value };
    const signed = await ask("POST", "/sign", { ...asked, ...SIGNATURES[choice.signature.value] });
    if (opening !== openings) return;
    token = signed.token;
  }
  app?.close();
  const guid = crypto.randomUUID();
  const frame = document.createElement("iframe");
  frame.name = "app";
  frame.title = "ZIS job specs";
  const isParted = account.switches.storage === "blocked";
  if (isParted) frame.credentialless = true;
  document.getElementById("storage-note").hidden = !isParted || "credentialless" in HTMLIFrameElement.prototype;
  document.getElementById("frame").replaceChildren(frame);
  app = new AppFrame(frame, { origin: new URL(service).origin, guid, context: context(), values: values(frame), actions: actions(frame) });
  post(`${service}/sidebar?${new URLSearchParams({ origin: location.origin, app_guid: guid, colorScheme: choice.scheme.value })}`, token);
}

function post(address, signed) {
  const form = Object.assign(document.createElement("form"), { method: "post", action: address, target: "app" });
  form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "token", value: signed }));
  document.body.append(form);
  form.submit();
  form.remove();
}

/** Opens the packaged app, once: no signed request opens it. */
function openPackaged(details) {
  if (!details.open || details.querySelector("iframe")) return;
  const query = new URLSearchParams({ origin: location.origin, app_guid: crypto.randomUUID() });
  const src = `http://packaged-app.localhost:${location.port}/_packaged/assets/iframe.html?${query}`;
  details.append(Object.assign(document.createElement("iframe"), { name: "packaged", title: "Our job specs", src }));
}

function context() {
  const shown = { product: "support", location: choice.location.value, account: { subdomain: account.subdomain } };
  if (choice.location.value === "ticket_sidebar") shown.ticketId = 4711;
  return { installationId: account.installation_id, shown };
}

function values(frame) {
  const user = account.users.find((one) => String(one.id) === choice.user.value);
  const person = { id: user.id, name: user.name, email: user.email, role: user.role, locale: choice.locale.value };
  const of = (prefix, object) => Object.entries(object).map(([name, value]) => [`${prefix}.${name}`, () => value]);
  return Object.fromEntries([
    ["currentUser", () => person],
    ...of("currentUser", person),
    ["currentAccount", () => ({ subdomain: account.subdomain })],
    ["currentAccount.subdomain", () => account.subdomain],
    ["currentAccount.timeZone", () => "UTC"],
    ["colorScheme", () => choice.scheme.value],
    ["ticket.id", () => 4711],
    ["ticket.subject", () => "Where is my order?"],
    ["viewport.size", () => ({ width: frame.clientWidth, height: frame.clientHeight })],
  ]);
}

function actions(frame) {
  return {
    resize: ({ width, height } = {}) => {
      // Zendesk takes numbers and texts with a unit; the width of a sidebar is its own.
      if (height !== undefined) frame.style.height = typeof height === "number" ? `${height}px` : height;
      if (width !== undefined && choice.location.value === "nav_bar") frame.style.width = typeof width === "number" ? `${width}px` : width;
    },
    notify: (text, kind = "notice") => toast(String(text), kind),
    track: () => null,
    popover: () => null,
    routeTo: () => null,
    show: () => null,
    hide: () => null,
  };
}

function toast(text, kind) {
  const box = document.createElement("div");
  box.className = `toast toast--${kind}`;
  const close = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", () => box.remove());
  box.append(Object.assign(document.createElement("span"), { textContent: text }), close);
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), TOAST_MILLISECONDS);
}

// --- choices ---

function fill(select, options, wanted) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  if (options.some(([value]) => String(value) === wanted)) select.value = wanted;
}

function fillUsers(users, wanted) {
  const options = users.map((user) => [user.id, `${user.name} (${user.role}${user.suspended ? ", suspended" : ""})`]);
  const isShown = options.map(String).join() === [...choice.user.options].map((one) => `${one.value},${one.text}`).join();
  if (!isShown) fill(choice.user, options, wanted);
}

const usersOf = (subdomain) => accounts.find((one) => one.subdomain === subdomain).users;

function remember() {
  const query = new URLSearchParams(NAMES.map((name) => [name, choice[name].value]));
  if (choice.signature.value === "ok") query.delete("signature");
  history.replaceState(null, "", `/?${query}`);
  document.documentElement.dataset.scheme = choice.scheme.value;
  document.querySelector(".desk").dataset.location = choice.location.value;
  for (const name of document.querySelectorAll(".account-name")) name.textContent = choice.account.value;
}

async function chosen(event) {
  if (event.target === choice.account) fillUsers(usersOf(choice.account.value), null);
  remember();
  if (event.target === choice.scheme) {
    app?.trigger("colorScheme.changed", choice.scheme.value);
    return;
  }
  await refresh();
  await open();
}

// --- what happens, and what Zendesk has ---

function button(entry, perform) {
  const item = document.createElement("li");
  const press = Object.assign(document.createElement("button"), { type: "button", id: `do-${entry.id}`, textContent: entry.label });
  const hint = Object.assign(document.createElement("span"), { className: "hint", id: `about-${entry.id}`, textContent: entry.what });
  press.setAttribute("aria-describedby", hint.id);
  press.addEventListener("click", async () => {
    await trying(() => perform(entry));
    // Who somebody is shows when the app is opened.
    if (entry.opens) await open();
  });
  item.append(press, hint);
  return item;
}

/** Does it, shows what Zendesk has then, and says where the simulator refuses. */
async function trying(perform) {
  try {
    await perform();
  } catch (error) {
    toast(error.message, "error");
  }
  await refresh();
}

const same = (one, other) => one.where === other.where && one.kind === other.kind;
const path = (rest) => `/accounts/${choice.account.value}${rest}`;

async function toggleFault({ fault }) {
  const without = account.faults.filter((one) => !same(one, fault));
  await ask("PUT", path("/faults"), without.length < account.faults.length ? without : [...without, fault]);
}

async function toggleSwitch({ name, value }) {
  const first = description.switches[name].values[0];
  await ask("PATCH", path("/switches"), { [name]: account.switches[name] === value ? first : value });
}

async function act({ name, args }) {
  const integrations = account.integrations.map((one) => one.name);
  await ask("POST", path(`/actions/${name}`), args({ user: Number(choice.user.value), integrations }));
}

async function startOver() {
  await ask("POST", "/reset");
  await open();
}

function showSwitches() {
  const rows = Object.entries(description.switches).map(([name, { meaning, values }]) => {
    const label = document.createElement("label");
    const text = document.createElement("span");
    text.append(Object.assign(document.createElement("code"), { textContent: name }), ` ${meaning}`);
    text.className = "hint";
    const input = document.createElement(values ? "select" : "input");
    if (values) input.append(...values.map((value) => new Option(value === "" ? "(as is)" : value, value)));
    input.id = `switch-${name}`;
    input.addEventListener("change", async () => {
      const kind = typeof account.switches[name];
      await trying(() => ask("PATCH", path("/switches"), { [name]: kind === "number" ? Number(input.value) : input.value }));
      // These show in the next opening.
      if (["sub_form", "iss_form", "storage"].includes(name)) await open();
    });
    label.append(text, input);
    return label;
  });
  document.getElementById("switches").replaceChildren(...rows);
}

async function refresh() {
  const subdomain = choice.account.value;
  const fresh = await ask("GET", path(""));
  // Another account was chosen while this answer was on its way.
  if (subdomain !== choice.account.value) return;
  account = fresh;
  fillUsers(account.users, choice.user.value);
  panel.show(account);
  const live = Object.entries(account.live_tokens).map(([client, count]) => `${client} ${count}`);
  document.getElementById("tokens").textContent = `Live access tokens: ${live.join(", ") || "none"}.`;
  const pressed = (id, is) => document.getElementById(`do-${id}`).setAttribute("aria-pressed", String(is));
  for (const { id, fault } of FAULTS) pressed(id, account.faults.some((one) => same(one, fault)));
  for (const { id, name, value } of SWITCHES) pressed(id, account.switches[name] === value);
  for (const [name, value] of Object.entries(account.switches)) {
    const input = document.getElementById(`switch-${name}`);
    if (input && input !== document.activeElement) input.value = value;
  }
}

async function poll() {
  try {
    if (!document.hidden) await refresh();
  } catch {
    // The sandbox has been stopped or is starting; the next look will tell.
  }
  setTimeout(poll, POLL_MILLISECONDS);
}

// --- start ---

const description = await ask("GET", "/");
({ accounts } = await ask("GET", "/accounts"));
const asked = new URLSearchParams(location.search);
fill(choice.account, accounts.map((one) => [one.subdomain, one.subdomain]), asked.get("account"));
fillUsers(usersOf(choice.account.value), asked.get("user"));
for (const name of ["location", "locale", "scheme", "signature"]) {
  if ([...choice[name].options].some((option) => option.value === asked.get(name))) choice[name].value = asked.get(name);
}
if (!asked.has("scheme") && matchMedia("(prefers-color-scheme: dark)").matches) choice.scheme.value = "dark";
const reset = { id: "reset", label: "Start over", what: "All accounts are as in the beginning, and the service has forgotten them: the app asks to connect." };
document.getElementById("events").replaceChildren(...ACTIONS.map((entry) => button(entry, act)), button(reset, startOver));
document.getElementById("toggles").replaceChildren(
  ...FAULTS.map((entry) => button(entry, toggleFault)),
  ...SWITCHES.map((entry) => button(entry, toggleSwitch)),
);
showSwitches();
remember();
await refresh();
document.getElementById("choices").addEventListener("change", chosen);
document.getElementById("packaged").addEventListener("toggle", ({ target }) => openPackaged(target));
document.getElementById("reload").addEventListener("click", () => open({ again: true }));
// Until here a choice would have been missed.
document.querySelector("#choices fieldset").disabled = false;
await open();
setTimeout(poll, POLL_MILLISECONDS);
