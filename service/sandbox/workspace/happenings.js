/** What can happen to an account at the press of a button, each with one line that explains it. */

const fault = (where, kind, more = {}) => ({ where, kind, ...more });

/** Toggles that are faults: on while the account's list holds one of this place and kind. */
export const FAULTS = [
  { id: "limit", label: "Limit requests", what: "ZIS answers 429 and asks to wait 5 seconds.", fault: fault("registry", "http_429", { retry_after: 5 }) },
  { id: "slow", label: "Slow down", what: "Every answer of ZIS takes 4 seconds.", fault: fault("registry", "slow", { seconds: 4 }) },
  { id: "hang", label: "Hang", what: "ZIS takes calls and never answers.", fault: fault("registry", "hang") },
  { id: "break", label: "Break ZIS", what: "ZIS answers 500, Server Error.", fault: fault("registry", "http_500_zis") },
  { id: "gateway", label: "Break the gateway", what: "A page with status 502 comes in place of ZIS's answer.", fault: fault("registry", "http_502_html") },
  { id: "blocked", label: "Block this service", what: "A firewall's page with status 403 comes in place of every answer.", fault: fault("all", "http_403_html") },
  { id: "lost", label: "Lose answers to changes", what: "Install and uninstall take effect, then the connection breaks.", fault: fault("change", "reset", { after_effect: true }) },
  { id: "mismatch", label: "Refuse the integration", what: "ZIS says the token is not this integration's.", fault: fault("registry", "mismatch") },
  { id: "roles", label: "Hide roles", what: "Zendesk does not say who is an admin (404 for users).", fault: fault("users", "http_404") },
];

/** Toggles that are switches: on while the switch has this value. */
export const SWITCHES = [
  { id: "lost-refresh", label: "Lose the refreshed pair", what: "A refresh takes effect, its answer is lost: the grant is gone.", name: "refresh", value: "answer_lost" },
  { id: "gone", label: "Rename the account away", what: "Every path of the old address answers 404, No help desk.", name: "account_gone", value: "yes" },
  { id: "refuse-sign-in", label: "Refuse to authorize", what: "Zendesk shows an error page in place of its consent page, and nobody comes back.", name: "consent", value: "refused" },
  { id: "close-sign-in", label: "Close the window", what: "Whoever is to consent closes the window instead.", name: "consent", value: "closes" },
  { id: "cut-opener", label: "Cut the opener", what: "The consent page cuts the tie to the window that opened it.", name: "opener", value: "lost" },
  { id: "hide-users", label: "Hide who signs in", what: "No token may read users (403): nobody can sign in.", name: "users", value: "not_readable" },
  { id: "small-scope", label: "Refuse the small scope", what: "Zendesk gives no token of users:read alone: a sign-in begins again with more.", name: "small_scope", value: "invalid_scope" },
  { id: "end-first", label: "Let a sign-in end the token", what: "A second authorization by the same person ends the grant's access token.", name: "second_authorization", value: "ends_access" },
  { id: "silent", label: "Keep quiet about uploads", what: "After a bundle upload specs look installed and do not fire.", name: "upload", value: "silent" },
];

/** Events: they happen once. */
export const ACTIONS = [
  { id: "expire", label: "Expire the access token", what: "The next call meets a 401; the refresh token still works.", name: "expire_access_tokens", args: () => ({}) },
  { id: "revoke", label: "Revoke the grant", what: "Access and refresh tokens are dead: connect again.", name: "revoke_grants", args: () => ({}) },
  { id: "demote", label: "Make the user an agent", what: "Takes the admin role from the chosen user.", name: "set_user", args: ({ user }) => ({ user_id: user, role: "agent" }) },
  { id: "promote", label: "Make the user an admin", what: "Gives the chosen user the admin role.", name: "set_user", args: ({ user }) => ({ user_id: user, role: "admin" }) },
  { id: "upload", label: "Upload the bundle again", what: "Installed specs of the first integration stop firing.", name: "upload_bundle", args: ({ integrations }) => ({ integration: integrations[0] }) },
  { id: "unregister", label: "Unregister an integration", what: "The last integration is gone from Zendesk.", name: "unregister_integration", args: ({ integrations }) => ({ integration: integrations.at(-1) }) },
];
