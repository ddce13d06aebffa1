/** The job specs by integration, filtered, with what is to be known about the list itself. */

import { arrange, el, setAttribute, setShown, setText } from "./dom.js";
import { Filter } from "./filter.js";
import { Folded } from "./folded.js";
import { formatTime, t } from "./i18n.js";
import { IntegrationGroup } from "./integration-group.js";
import { JobSpecRow } from "./job-spec-row.js";
import { isToldAlike, ProblemSlot } from "./problem-view.js";
import { Steps } from "./steps.js";

// As many rows as the highest frame has room for; the others follow once these have been painted, some at a time: a
// thousand at once keep Firefox and WebKit for half a second.
const FIRST_ROWS = 20;
const NEXT_ROWS = 100;
// So that what a person does meanwhile comes first.
const BETWEEN_ROWS_MS = 10;
// Nobody wants to hear a count for every letter.
const ANNOUNCE_AFTER_MS = 700;

/** Everything below the connection; rows stay the same elements for as long as their job spec exists. */
export class ListView {
  element = el("section", { class: "list", hidden: true, "aria-labelledby": "list-title" });

  #model;
  #account;
  #announce;
  #onChange;
  #refreshOnce;
  #rows = new Map();
  #groups = new Map();
  #folded;
  /** Names of integrations as they are shown; made anew with every list, so that no group moves under a person's hands. */
  #order = [];
  #problem;
  #filter = new Filter(() => {
    this.#makeAllRows();
    this.#applyFilter();
  });
  #title = el("h2", { class: "list__title", id: "list-title" });
  #refresh = el("button", { type: "button", class: "button button--link list__refresh", "data-testid": "refresh" });
  #note = el("p", { class: "list__note", "data-testid": "list-note" });
  #foot;
  #loading = el("p", { class: "loading" });
  #empty = el("div", { class: "well", hidden: true });
  #emptyText = el("p");
  #clear = el("button", { type: "button", class: "button button--small" });
  #body = el("div", { class: "list__groups" });
  #specsShown = null;
  #shownCount = 0;
  #mostRows = FIRST_ROWS;
  #isMaking = false;
  #announcing = 0;
  #showing = new Steps((rows) => {
    for (const row of rows) row.isShown = true;
    this.#showGroups();
  });

  /**
   * @param {object} options
   * @param {import("./model.js").Model} options.model
   * @param {string} options.account
   * @param {(text: string) => void} options.announce
   * @param {{refresh: () => void, change: (key: string, action: import("./model.js").Action) => void}} options.on what the
   *   person does
   */
  constructor({ model, account, announce, on }) {
    this.#model = model;
    this.#account = account;
    this.#announce = announce;
    this.#problem = new ProblemSlot(account, () => this.#refresh.focus());
    this.#folded = new Folded(account);
    this.#empty.append(this.#emptyText, this.#clear);
    this.#foot = el("div", { class: "list__foot" }, this.#note, this.#refresh);
    this.element.append(
      this.#title,
      this.#filter.element,
      this.#foot,
      this.#problem.element,
      this.#loading,
      this.#empty,
      this.#body,
    );
    this.#onChange = on.change;
    this.#refreshOnce = () => {
      if (!model.isListing) on.refresh();
    };
    this.#refresh.addEventListener("click", this.#refreshOnce);
    this.#clear.addEventListener("click", () => {
      this.#filter.clear();
      this.#applyFilter();
    });
    // One listener for all the rows there may ever be.
    this.#body.addEventListener("click", (event) => {
      const button = event.target.closest(".toggle, .spec__again");
      if (!button || button.getAttribute("aria-disabled") === "true") return;
      const isOn = button.getAttribute("aria-checked") === "true";
      const action = button.matches(".spec__again") ? "reinstall" : isOn ? "uninstall" : "install";
      on.change(button.closest(".spec").dataset.key, action);
    });
  }

  /** @returns {boolean} whether the person may change what is shown */
  get canChangeSeveral() {
    return this.#model.canManage && this.#shownCount > 0;
  }

  /**
   * Shows exactly what the filter lets through, folded or not, and returns it in the list's order.
   *
   * @returns {{key: string, spec: object}[]}
   */
  takeFiltered() {
    this.#makeAllRows();
    // A row that was shown only because somebody worked in it is not meant.
    this.#applyFilter();
    clearTimeout(this.#announcing);
    const passes = this.#filter.test();
    return [...this.#model.specs]
      .filter(([key, spec]) => passes(this.#rows.get(key).searchText, spec.installed))
      .map(([key, spec]) => ({ key, spec }));
  }

  /** @returns {boolean} whether the filter may leave some out */
  get isFiltered() {
    return this.#filter.isActive;
  }

  /** Brings everything up to date with the model and the language. */
  update() {
    const model = this.#model;
    setShown(this.element, model.status ? model.isConnected : model.specs !== null);
    setText(this.#title, t("list.title"));
    setText(this.#refresh, t(model.isListing ? "list.refreshing" : "list.refresh"));
    setAttribute(this.#refresh, "aria-disabled", model.isListing ? "true" : null);
    setText(this.#loading, t("list.loading"));
    setShown(this.#loading, model.specs === null && model.isListing);
    setText(this.#clear, t("filter.clear"));
    this.#filter.relabel();
    setShown(this.#filter.element, model.specs !== null);
    // What has already been said above is not said again.
    const isSaid = model.listProblem && model.listProblem.code === model.statusProblem?.code;
    const shared = this.#sharedProblem();
    this.#problem.update(isSaid ? null : (model.listProblem ?? shared), {
      action: { label: t("problem.retry"), act: this.#refreshOnce },
      tone: shared && !model.listProblem && model.integrations.every(({ problem, stale }) => stale || !problem) ? "warning" : "error",
    });
    const isNew = model.specs !== this.#specsShown;
    if (isNew) this.#orderGroups();
    this.#updateRows();
    if (isNew) {
      this.#specsShown = model.specs;
      this.#arrangeGroups();
      this.#applyFilter();
    }
    this.#updateGroups();
    this.#updateNote();
  }

  /** What several integrations have met in the same words, to be told once; null: nothing. */
  #sharedProblem() {
    const [first, ...others] = this.#model.integrations.map(({ problem }) => problem).filter(Boolean);
    return others.length && others.every((other) => isToldAlike(first, other)) ? first : null;
  }

  #updateRows() {
    const { specs, pending, failed, unverified, reinstalled, canManage } = this.#model;
    for (const key of [...this.#rows.keys()]) {
      if (!specs?.has(key)) this.#rows.delete(key);
    }
    let isComplete = true;
    for (const [key, spec] of this.#inOrder()) {
      let row = this.#rows.get(key);
      if (!row) {
        if (this.#rows.size >= this.#mostRows) {
          isComplete = false;
          continue;
        }
        row = new JobSpecRow(key, this.#account, () => this.#onChange(key, this.#model.tried.get(key)));
        this.#rows.set(key, row);
      }
      row.update(spec, {
        pending: pending.get(key),
        problem: failed.get(key) ?? null,
        note: unverified.has(key) ? "unverified" : reinstalled.has(key) ? "reinstalled" : null,
        canManage,
      });
    }
    if (specs === null) return;
    if (isComplete) this.#mostRows = Infinity;
    else if (!this.#isMaking) this.#makeMoreRows();
  }

  /** Makes some of the rows that are missing, after what is there has been painted. */
  #makeMoreRows() {
    this.#isMaking = true;
    requestAnimationFrame(() =>
      setTimeout(() => {
        this.#isMaking = false;
        if (this.#mostRows === Infinity) return;
        this.#mostRows += NEXT_ROWS;
        this.#showRows();
      }, BETWEEN_ROWS_MS),
    );
  }

  #makeAllRows() {
    if (this.#mostRows === Infinity) return;
    this.#mostRows = Infinity;
    this.#showRows();
  }

  #showRows() {
    this.#updateRows();
    this.#arrangeGroups();
    this.#applyFilter();
  }

  /** Those with something installed first, else in the list's order. */
  #orderGroups() {
    const installs = new Map(this.#model.integrations.map(({ name }) => [name, false]));
    for (const { integration, installed } of this.#model.specs?.values() ?? []) {
      installs.set(integration, installed || (installs.get(integration) ?? false));
    }
    this.#order = [...installs.keys()].sort((one, other) => installs.get(other) - installs.get(one));
  }

  /** The model's job specs as they are shown, so that the first rows that are made are the first that are seen. */
  #inOrder() {
    const specs = [...(this.#model.specs ?? [])];
    const place = new Map(this.#order.map((name, at) => [name, at]));
    return specs.sort(([, one], [, other]) => place.get(one.integration) - place.get(other.integration));
  }

  #arrangeGroups() {
    const rowsOf = new Map(this.#order.map((name) => [name, []]));
    for (const [key, { integration }] of this.#model.specs ?? []) {
      if (this.#rows.has(key)) rowsOf.get(integration).push(this.#rows.get(key));
    }
    for (const name of [...this.#groups.keys()]) {
      if (!rowsOf.has(name)) this.#groups.delete(name);
    }
    for (const [name, rows] of rowsOf) {
      if (!this.#groups.has(name)) this.#groups.set(name, new IntegrationGroup(name, this.#account, this.#folded, this.#refreshOnce));
      this.#groups.get(name).arrange(rows);
    }
    const focused = document.activeElement;
    arrange(this.#body, [...rowsOf.keys()].map((name) => this.#groups.get(name).element));
    // A group that had to move has lost the focus on the way.
    if (focused !== document.activeElement && this.#body.contains(focused)) focused.focus();
  }

  #updateGroups() {
    const { specs, integrations, status } = this.#model;
    const gone = this.#model.gone();
    const isToldAbove = this.#sharedProblem() !== null;
    const counts = new Map();
    for (const { integration, installed } of specs?.values() ?? []) {
      const count = counts.get(integration) ?? { all: 0, installed: 0 };
      count.all += 1;
      if (installed) count.installed += 1;
      counts.set(integration, count);
    }
    for (const [name, group] of this.#groups) {
      group.update({
        count: counts.get(name) ?? { all: 0, installed: 0 },
        listing: integrations.find((integration) => integration.name === name) ?? null,
        readiness: status?.integrations.find((integration) => integration.name === name) ?? null,
        isToldAbove,
        gone: gone.filter((spec) => spec.integration === name).map((spec) => spec.name),
      });
    }
  }

  #applyFilter() {
    const { specs } = this.#model;
    const passes = this.#filter.test();
    // The row a person is working in does not vanish under their hands.
    const workedIn = document.activeElement?.closest(".spec");
    let count = 0;
    const later = [];
    for (const [key, row] of this.#rows) {
      const isMeant = passes(row.searchText, specs.get(key).installed) || row.element === workedIn;
      if (isMeant) count += 1;
      if (isMeant && !row.isShown && count > FIRST_ROWS) later.push(row);
      else row.isShown = isMeant;
    }
    this.#showGroups();
    this.#showing.start(later);
    this.#shownCount = count;
    this.#updateNote();
    clearTimeout(this.#announcing);
    if (!this.#filter.isActive) return;
    this.#announcing = setTimeout(
      () => this.#announce(t("list.shown", { count, all: specs?.size ?? 0 })),
      ANNOUNCE_AFTER_MS,
    );
  }

  #showGroups() {
    for (const group of this.#groups.values()) group.showFiltered(this.#filter.isActive);
  }

  #updateNote() {
    const { specs, listedAt } = this.#model;
    const all = specs?.size ?? 0;
    const counted = this.#filter.isActive
      ? t("list.shown", { count: this.#shownCount, all })
      : t("list.count", { count: all });
    setShown(this.#note, specs !== null);
    setText(this.#note, listedAt ? `${counted} ${t("list.as_of", { time: formatTime(listedAt) })}` : counted);
    setText(this.#emptyText, t(all === 0 ? "list.none" : "list.nothing_matches"));
    setShown(this.#empty, specs !== null && this.#shownCount === 0 && !this.#hasTrouble());
    setShown(this.#clear, all > 0);
  }

  #hasTrouble() {
    return this.#model.specs.size === 0 && this.#model.integrations.some(({ problem }) => problem);
  }
}
