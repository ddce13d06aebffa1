/**
 * The page's texts in the person's language, from `locales/{language}.json`.
 *
 * Adding a language is adding its file, and its name to `words.js`. A catalogue maps keys to texts with `{placeholders}`, or
 * to one text for each of the language's plural forms, chosen by the value `count`. What a catalogue lacks is said in
 * English.
 */

import { languages, words } from "./words.js";

const FALLBACK = "en";

const catalogues = new Map(Object.entries(words));
let language = FALLBACK;
// With its region, for dates and numbers.
let locale = FALLBACK;
let choices = 0;

/**
 * Chooses the language; English for one that has no catalogue. Of several calls the last one counts.
 *
 * @param {string} tag as Zendesk or the browser gives it: `de-AT`, `en-001`, `pt-BR`
 * @returns {Promise<void>}
 */
export async function chooseLocale(tag) {
  const choice = ++choices;
  const canonical = canonicalTag(tag);
  const wanted = nearestTo(canonical);
  const [catalogue] = await Promise.all([catalogueOf(wanted), catalogueOf(FALLBACK)]);
  if (choice !== choices) return;
  language = catalogue ? wanted : FALLBACK;
  // Another language's dates and numbers would stand in English sentences.
  locale = catalogue && baseOf(canonical) === baseOf(wanted) ? canonical : FALLBACK;
  document.documentElement.lang = language;
}

/**
 * The language and region in use; what was written in another one has to be written again.
 *
 * @returns {string}
 */
export function currentLocale() {
  return locale;
}

/**
 * The text of a key.
 *
 * @param {string} key
 * @param {Record<string, string|number>} [values] for its placeholders; `count` chooses the plural form
 * @returns {string} the key itself where no catalogue has it
 */
export function t(key, values = {}) {
  const entry = catalogues.get(language)?.[key] ?? catalogues.get(FALLBACK)?.[key] ?? key;
  const text = typeof entry === "string" ? entry : (entry[new Intl.PluralRules(locale).select(values.count)] ?? entry.other);
  return text.replace(/\{(\w+)\}(\.?)/g, (placeholder, name, point) => {
    const value = values[name] ?? placeholder;
    const shown = typeof value === "number" ? value.toLocaleString(locale) : String(value);
    // Such as "11:32:21 p.m.", which ends a sentence by itself.
    return shown.endsWith(".") ? shown : shown + point;
  });
}

/**
 * Whether there is a text for this key.
 *
 * @param {string} key
 * @returns {boolean}
 */
export function hasText(key) {
  return Boolean(catalogues.get(FALLBACK)?.[key]);
}

/**
 * A day, as the person writes it.
 *
 * @param {string} time RFC 3339
 * @returns {string}
 */
export function formatDay(time) {
  return new Date(time).toLocaleDateString(locale, { dateStyle: "medium" });
}

/**
 * A time of day, with the day where it is not today.
 *
 * @param {Date} time
 * @returns {string}
 */
export function formatTime(time) {
  const today = time.toDateString() === new Date().toDateString();
  return today
    ? time.toLocaleTimeString(locale, { timeStyle: "medium" })
    : time.toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
}

function canonicalTag(tag) {
  try {
    return Intl.getCanonicalLocales(tag.replaceAll("_", "-"))[0] ?? FALLBACK;
  } catch {
    return FALLBACK;
  }
}

/** The catalogue for a tag: its own, that of the same language without a region or of another one, or the English one. */
function nearestTo(tag) {
  const parts = tag.split("-");
  const wider = parts.map((_, at) => parts.slice(0, parts.length - at).join("-"));
  const own = wider.find((name) => languages.includes(name));
  return own ?? languages.find((name) => baseOf(name) === parts[0]) ?? FALLBACK;
}

function baseOf(tag) {
  return tag.split("-")[0];
}

async function catalogueOf(name) {
  if (!catalogues.has(name)) {
    try {
      const response = await fetch(new URL(`locales/${name}.json`, import.meta.url));
      if (!response.ok) return null;
      catalogues.set(name, await response.json());
    } catch {
      return null;
    }
  }
  return catalogues.get(name) ?? null;
}
