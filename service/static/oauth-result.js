/** Tells the window that opened this one how authorizing ended, and closes on success. */

import { keepSession } from "./kept-session.js";

// Long enough to read one line; the sidebar shows the same.
const CLOSE_AFTER_MS = 1500;

const { result, code, origin, stay } = JSON.parse(document.getElementById("oauth-result").textContent);
const kept = JSON.parse(document.getElementById("kept-session").textContent);

// The address still holds the spent state and code: they belong in no history and no screenshot.
history.replaceState(null, "", location.pathname);

// Whoever has just connected the account is signed in in this tab.
if (kept) keepSession(kept);

// A page on the way may have cut the opener; the sidebar finds out by asking the service.
window.opener?.postMessage({ type: "zis-oauth", result, code }, origin);

if (result === "connected" && !stay) {
  document.getElementById("closing").textContent = "This window closes by itself.";
  setTimeout(() => {
    window.close();
    // Browsers close only windows that a script opened.
    document.getElementById("closing").textContent = "You may close this window.";
  }, CLOSE_AFTER_MS);
}
