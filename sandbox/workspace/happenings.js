/**
 * What can happen to an account at the press of a button. Each line says what Zendesk does, and what is seen then; a browser
 * test presses every button and looks. `opens`: the app is opened anew, because it shows at the opening.
 */

const fault = (where, kind, more = {}) => ({ where, kind, ...more });

/** Toggles that are faults: on while the account's list holds one of this place and kind. */
export const FAULTS = [
  { id: "limit", label: "Limit requests", what: "ZIS answers 429, wait 5 seconds. Press Refresh: the list stays, and the app says why.", fault: fault("registry", "http_429", { retry_after: 5 }) },
  { id: "slow", label: "Slow down", what: "Every answer of ZIS takes 4 seconds. Press Refresh: it says that it is refreshing, and the list stays.", fault: fault("registry", "slow", { seconds: 4 }) },
  { id: "hang", label: "Hang", what: "ZIS takes calls and never answers. Press Refresh: the list stays, and the service gives up within 25 seconds.", fault: fault("registry", "hang") },
  { id: "break", label: "Break ZIS", what: "ZIS answers 500, Server Error. Press Refresh: the list stays, and the app says why.", fault: fault("registry", "http_500_zis") },
  { id: "gateway", label: "Break the gateway", what: "A page with status 502 comes in place of ZIS's answer. Press Refresh: the list stays, and the app says why, without a word of that page.", fault: fault("registry", "http_502_html") },
  { id: "blocked", label: "Block this service", what: "A firewall's page with status 403 comes in place of every answer. The app opens again: you can look and not switch. Press Refresh: it says why.", fault: fault("all", "http_403_html"), opens: true },
  { id: "lost", label: "Lose answers to changes", what: "Changes take effect, then the connection breaks. Switch a job spec: it is shown as Zendesk has it, since the service looks afterwards.", fault: fault("change", "reset", { after_effect: true }) },
  { id: "mismatch", label: "Refuse the integration", what: "ZIS says the token is not this integration's. Press Refresh: the app says so.", fault: fault("registry", "mismatch") },
  { id: "roles", label: "Hide roles", what: "Zendesk does not let the service read who is an admin (403). The app opens again: you can look and not switch.", fault: fault("users", "http_403_scope"), opens: true },
];

/** Toggles that are switches: on while the switch has this value. */
export const SWITCHES = [
  { id: "lost-refresh", label: "Lose the refreshed pair", what: "A refresh takes effect and its answer is lost. Expire the access token too, then press Refresh in the app, twice with some seconds between: it has to be connected again.", name: "refresh", value: "answer_lost" },
  { id: "gone", label: "Rename the account away", what: "Every path of the old address answers 404, No help desk. Press Refresh: the app says that the account is gone.", name: "account_gone", value: "yes" },
  { id: "refuse-sign-in", label: "Refuse to authorize", what: "Press Connect (in an account that is not connected): Zendesk shows an error page in place of its consent page.", name: "consent", value: "refused" },
  { id: "close-sign-in", label: "Close the window", what: "Press Connect (in an account that is not connected): the window closes by itself, the app goes on waiting, and Connect can be pressed again.", name: "consent", value: "closes" },
  { id: "cut-opener", label: "Cut the opener", what: "The consent page cuts the tie to the window that opened it. Press Connect, then Allow: the app notices all the same.", name: "opener", value: "lost" },
  { id: "hide-users", label: "Hide who signs in", what: "No token may read users (403). Sign in at the service's /console: it is refused, and says why.", name: "users", value: "not_readable" },
  { id: "small-scope", label: "Refuse the small scope", what: "Zendesk gives no token of users:read alone. Sign in at the service's /console: the consent page comes twice, the second time with more.", name: "small_scope", value: "invalid_scope" },
  { id: "end-first", label: "Let a sign-in end the token", what: "A second authorization by the same person ends the grant's access token. Sign in at the service's /console as the admin who connected: the list comes all the same.", name: "second_authorization", value: "ends_access" },
  { id: "silent", label: "Keep quiet about uploads", what: "Upload the bundle then: beside the app, specs are \"silent, looks installed\".", name: "upload", value: "silent" },
];

/** Events: they happen once. */
export const ACTIONS = [
  { id: "expire", label: "Expire the access token", what: "The count of live access tokens falls. Press Refresh: the service gets a new token, and the list comes as if nothing had happened.", name: "expire_access_tokens", args: () => ({}) },
  { id: "revoke", label: "Revoke the grant", what: "No live access token is left. Press Refresh: the app has to be connected again.", name: "revoke_grants", args: () => ({}) },
  { id: "demote", label: "Make the user an agent", what: "Takes the admin role from the chosen user. The app opens again: you can look and not switch. If they had connected the account, Zendesk refuses its list from now on.", name: "set_user", args: ({ user }) => ({ user_id: user, role: "agent" }), opens: true },
  { id: "promote", label: "Make the user an admin", what: "Gives the chosen user the admin role. The app opens again: you can switch.", name: "set_user", args: ({ user }) => ({ user_id: user, role: "admin" }), opens: true },
  { id: "upload", label: "Upload the bundle again", what: "Specs of the first integration stop firing: beside the app they are not installed. Press Refresh: the app shows it, too.", name: "upload_bundle", args: ({ integrations }) => ({ integration: integrations[0] }) },
  { id: "unregister", label: "Unregister an integration", what: "The last integration leaves the panel beside the app. Press Refresh: the app says that it is not registered.", name: "unregister_integration", args: ({ integrations }) => ({ integration: integrations.at(-1) }) },
];
