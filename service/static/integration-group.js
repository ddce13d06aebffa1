/** The job specs of one integration under its name, and what is wrong with it. */

import { arrange, el, setAttribute, setShown, setText } from "./dom.js";
import { formatTime, t } from "./i18n.js";
import { problemSentence, ProblemSlot } from "./problem-view.js";

// Browsers skip the styles and the layout of a chunk out of sight, whatever the filter does to its rows. Row by row they
// would have to look at each.
const CHUNK_ROWS = 10;

let groups = 0;

/** A heading, notes and rows. */
export class IntegrationGroup {
  /** @type {HTMLElement} */
  element;

  #fold;
  #name;
  #folded;
  #onRetry;
  #isFiltered = false;
  #count = el("span", { class: "group__count" });
  #stale = el("p", { class: "group__note group__note--warning", "data-testid": "stale-note", hidden: true });
  #gone = el("p", { class: "group__note group__note--warning", "data-testid": "gone", hidden: true });
  #readiness = el("p", { class: "group__note group__note--warning", "data-testid": "readiness", hidden: true });
  #rows = el("div", { class: "group__rows", role: "list" });
  #problem;
  #chunks = [];
  #hasNotes = false;

  /**
   * @param {string} name
   * @param {string} account
   * @param {import("./folded.js").Folded} folded
   * @param {() => void} onRetry
   */
  constructor(name, account, folded, onRetry) {
    groups += 1;
    const id = `group-${groups}`;
    this.#name = name;
    this.#folded = folded;
    this.#onRetry = onRetry;
    this.#rows.id = `${id}-rows`;
    this.#fold = el("button", { type: "button", class: "group__fold", "aria-controls": this.#rows.id, "data-testid": "fold" }, name);
    this.#problem = new ProblemSlot(account, () => this.#fold.focus());
    this.element = el(
      "section",
      { class: "group", "aria-labelledby": id, "data-testid": "integration", "data-integration": name },
      el("div", { class: "group__head" }, el("h3", { class: "group__name", id }, this.#fold), this.#count),
      this.#readiness,
      this.#stale,
      this.#gone,
      this.#problem.element,
      this.#rows,
    );
    this.#fold.addEventListener("click", () => {
      // What a filter has found is seen.
      if (this.#isFiltered) return;
      folded.set(name, !folded.has(name));
      this.#showFold();
    });
    this.#showFold();
  }

  /**
   * @param {import("./job-spec-row.js").JobSpecRow[]} rows
   */
  arrange(rows) {
    const focused = document.activeElement;
    const wanted = Math.ceil(rows.length / CHUNK_ROWS);
    this.#chunks.length = Math.min(this.#chunks.length, wanted);
    while (this.#chunks.length < wanted) this.#chunks.push(new Chunk());
    arrange(
      this.#rows,
      this.#chunks.map(({ element }) => element),
    );
    this.#chunks.forEach((chunk, at) => chunk.arrange(rows.slice(at * CHUNK_ROWS, (at + 1) * CHUNK_ROWS)));
    // A row that had to move to the next chunk has lost the focus on the way.
    if (focused !== document.activeElement && this.element.contains(focused)) focused.focus();
  }

  /**
   * @param {object} state
   * @param {{all: number, installed: number}} state.count
   * @param {{fetched_at: string|null, stale: boolean, problem: object|null}|null} state.listing
   * @param {{state: string}|null} state.readiness
   * @param {boolean} state.isToldAbove whether the listing's problem stands above all groups
   * @param {string[]} state.gone names of those that a change has found to be there no more
   */
  update({ count, listing, readiness, isToldAbove, gone }) {
    const isStale = Boolean(listing?.stale);
    const isReady = !readiness || readiness.state === "ready" || readiness.state === "unknown";
    // The list's own error says the same, with more words.
    const showsReadiness = !isReady && !listing?.problem;
    setText(this.#count, t("group.count", { count: count.installed, all: count.all }));
    // Without a list nobody knows how many there are.
    setShown(this.#count, !listing?.problem || isStale);
    setText(this.#stale, isStale ? t("group.stale", { time: formatTime(new Date(listing.fetched_at)) }) : "");
    setShown(this.#stale, isStale);
    setText(this.#readiness, showsReadiness ? t(`readiness.${readiness.state}`, { integration: this.#name }) : "");
    setShown(this.#readiness, showsReadiness);
    setText(this.#gone, gone.length ? t("group.gone", { names: gone.join(", ") }) : "");
    setShown(this.#gone, gone.length > 0);
    this.#updateProblem(isToldAbove ? null : (listing?.problem ?? null), readiness?.state, isStale);
    this.#hasNotes = isStale || showsReadiness || gone.length > 0 || Boolean(listing?.problem);
    this.showFiltered(this.#isFiltered);
  }

  #updateProblem(problem, state, isStale) {
    if (!problem) {
      this.#problem.update(null);
      return;
    }
    // Status knows which of the two Zendesk's one refusal means.
    const isUnregistered = problem.code === "integration_mismatch" && state === "not_registered";
    const integration = this.#name;
    this.#problem.update(problem, {
      tone: isStale ? "warning" : "error",
      action: { label: t("problem.retry"), act: this.#onRetry },
      sentence: isUnregistered ? t("readiness.not_registered", { integration }) : problemSentence(problem, integration),
    });
  }

  /**
   * Hides what the filter has left empty: chunks, and the group unless something about it has to be known.
   *
   * @param {boolean} isFiltered whether the filter may leave some out; then nothing is folded away
   */
  showFiltered(isFiltered) {
    this.#isFiltered = isFiltered;
    this.#showFold();
    let hasRows = false;
    for (const chunk of this.#chunks) hasRows = chunk.showFiltered() || hasRows;
    // The group a person is working in does not vanish under their hands: its rows may come with the next frame.
    setShown(this.element, hasRows || this.#hasNotes || this.element.contains(document.activeElement));
  }

  #showFold() {
    const isFolded = this.#folded.has(this.#name) && !this.#isFiltered;
    setShown(this.#rows, !isFolded);
    setAttribute(this.#fold, "aria-expanded", String(!isFolded));
    setAttribute(this.#fold, "aria-disabled", this.#isFiltered ? "true" : null);
  }
}

/** Some rows that stand together; in the page are only those that the filter lets through. */
class Chunk {
  element = el("div", { class: "group__chunk", role: "none" });

  #rows = [];
  #placed = null;

  /**
   * @param {import("./job-spec-row.js").JobSpecRow[]} rows
   */
  arrange(rows) {
    this.#rows = rows;
    // One of them may have been moved to another chunk since.
    this.#placed = null;
    this.showFiltered();
  }

  /**
   * Hides the chunk when the filter has left nothing of it, else says how high it will be.
   *
   * @returns {boolean} whether a row is shown
   */
  showFiltered() {
    const shown = this.#rows.filter(({ isShown }) => isShown);
    if (this.#placed?.length !== shown.length || shown.some((row, at) => row !== this.#placed[at])) {
      this.#placed = shown;
      // Out of the page rather than hidden: to hide a thousand rows takes WebKit five times as long.
      arrange(
        this.element,
        shown.map(({ element }) => element),
      );
      setShown(this.element, shown.length > 0);
      this.element.style.setProperty("--rows", shown.length);
    }
    return shown.length > 0;
  }
}
