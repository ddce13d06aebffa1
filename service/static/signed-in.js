/** After a sign-in: goes on to the job specs, or closes where another page fetches the session. */

import { keepSession } from "./kept-session.js";

// Long enough to read one line.
const CLOSE_AFTER_MS = 1500;

const { failed } = JSON.parse(document.getElementById("signed-in").textContent);
const kept = JSON.parse(document.getElementById("kept-session").textContent);

// The address still holds the spent state and code: they belong in no history and no screenshot.
history.replaceState(null, "", location.pathname);

if (kept && keepSession(kept)) location.replace("/console");
else if (!kept && !failed) setTimeout(() => window.close(), CLOSE_AFTER_MS);
