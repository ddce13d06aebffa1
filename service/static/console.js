/** The page in a window of its own: opened with the session that a sign-in has left in this tab, without Zendesk around it. */

import { el } from "./dom.js";
import { chooseLocale, t } from "./i18n.js";
import { forgetSession, keptSession } from "./kept-session.js";
import { Page } from "./page.js";

const app = document.getElementById("app");

/** Shows the account of the session, or the form to sign in. */
async function open() {
  await chooseLocale(navigator.language);
  document.title = t("app.title");
  const session = keptSession();
  if (session) showPage(session);
  else showForm();
}

function showPage({ session_token: token, expires_at: expiresAt, account }) {
  const signOut = el("button", { type: "button", class: "button button--small", "data-testid": "sign-out" }, t("console.sign_out"));
  signOut.addEventListener("click", () => {
    forgetSession();
    // Nothing of the account is left in this page either.
    location.reload();
  });
  const whose = el("p", { class: "console__account" }, t("console.account", { account }));
  const bar = el("header", { class: "console__bar" }, whose, signOut);
  document.body.prepend(bar);
  const bootstrap = {
    session_token: token,
    expires_in: (Date.parse(expiresAt) - Date.now()) / 1000,
    account,
    api_base: "/api/v1",
    authorize_url: `/oauth/authorize?${new URLSearchParams({ subdomain: account })}`,
    status: null,
    list: null,
  };
  const onSessionOver = () => {
    forgetSession();
    bar.remove();
    showForm(account, t("console.sign_in.over"));
  };
  new Page(bootstrap, { onSessionOver }).open();
}

function showForm(account = "", why = "") {
  const input = el("input", {
    class: "input",
    id: "subdomain",
    name: "subdomain",
    type: "text",
    value: account,
    required: true,
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    "aria-describedby": "subdomain-hint",
  });
  const field = el(
    "div",
    { class: "field" },
    el("label", { class: "field__label", for: "subdomain" }, t("console.sign_in.account")),
    el("p", { class: "field__hint", id: "subdomain-hint" }, t("console.sign_in.hint")),
    input,
  );
  const submit = el("button", { type: "submit", class: "button button--primary" }, t("console.sign_in.submit"));
  const form = el("form", { method: "get", action: "/signin", class: "console__form", "data-testid": "sign-in" }, field, submit);
  // People copy what their browser shows.
  form.addEventListener("submit", () => {
    input.value = input.value.trim().replace(/^https?:\/\//i, "").replace(/\.zendesk\.com\b.*$/i, "");
  });
  app.replaceChildren(
    el("h1", { class: "console__title" }, t("console.sign_in")),
    why ? el("p", { class: "alert alert--info", role: "status" }, why) : "",
    form,
    el("p", { class: "console__note" }, t("console.sign_in.note")),
  );
  app.removeAttribute("aria-busy");
}

open();
