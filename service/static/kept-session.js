/** The session of whoever has signed in, kept for this tab alone and never in an address. */

const KEY = "zis-session";

/**
 * @param {{session_token: string, expires_at: string, account: string}} session
 * @returns {boolean} whether this browser keeps it
 */
export function keepSession({ session_token: token, expires_at: expiresAt, account }) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ session_token: token, expires_at: expiresAt, account }));
    return true;
  } catch {
    return false;
  }
}

/**
 * @returns {{session_token: string, expires_at: string, account: string}|null} null: nobody is signed in in this tab
 */
export function keptSession() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    return typeof kept?.session_token === "string" && typeof kept.account === "string" ? kept : null;
  } catch {
    return null;
  }
}

/** Signs out: nothing of the session is left in this tab. */
export function forgetSession() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Where nothing can be kept there is nothing to forget.
  }
}
