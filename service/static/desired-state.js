/** The same change to several job specs of one integration: as a document of desired state, and what became of it. */

import { ZISProblem } from "./zis-problem.js";

const SENT = new Set(["install", "uninstall", "rearm"]);
// How the service appends what Zendesk said to its own sentence.
const WORDS = " Zendesk's words: ";

/**
 * Whether a document can name it: a document has short names, and takes what begins like a qualified one for that.
 *
 * @param {string} name
 * @returns {boolean}
 */
export function isExpressible(name) {
  // Half a character (a lone surrogate) is refused, too.
  return name !== "" && !name.startsWith("zis:") && !/\p{Surrogate}/u.test(name);
}

/**
 * @param {string} integration
 * @param {string[]} names
 * @param {import("./model.js").Action} action
 * @returns {object} the document that `apply` takes
 */
export function documentOf(integration, names, action) {
  return { integrations: { [integration]: { [action === "uninstall" ? "uninstalled" : "installed"]: names } } };
}

/**
 * What became of the job specs that were named.
 *
 * @param {object} answer what `apply` answered
 * @returns {Map<string, {problem: ZISProblem|null, isSent: boolean, isUnverified: boolean}>} by name; those that are left
 *   to be done are not in it
 */
export function outcomesIn({ changes, request_id: requestId }) {
  const outcomes = new Map();
  for (const { name, change, result, detail } of changes) {
    const isSent = SENT.has(change);
    if (change === "not_named" || (isSent && result === null)) continue;
    const code = change === "not_listed" ? "job_spec_not_found" : result;
    const isDone = code === null || code === "ok";
    outcomes.set(name, {
      problem: isDone ? null : problemOf(code, detail, requestId),
      isSent,
      isUnverified: isSent && isDone && detail !== null,
    });
  }
  return outcomes;
}

function problemOf(code, detail, requestId) {
  const [sentence, words] = (detail ?? "").split(WORDS);
  return new ZISProblem({ code, detail: sentence || null, upstream_detail: words, request_id: requestId });
}
