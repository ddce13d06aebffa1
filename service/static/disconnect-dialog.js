/** Asks before the grant is given back, and says what becomes of the job specs. */

import { el, keepOpen, setAttribute, setShown, setText } from "./dom.js";
import { t } from "./i18n.js";
import { ProblemSlot, problemTitle } from "./problem-view.js";

/** A native dialog: it keeps the focus inside and gives it back. */
export class DisconnectDialog {
  element = el("dialog", { class: "dialog", "aria-labelledby": "disconnect-title", "data-testid": "disconnect-dialog" });
  /** Where the page announces while it is open. */
  live = el("p", { class: "visually-hidden", role: "status" });

  #account;
  #title = el("h2", { class: "dialog__title", id: "disconnect-title" });
  #text = el("p");
  #check = el("input", { type: "checkbox", id: "disconnect-uninstall", "data-testid": "disconnect-uninstall" });
  #checkLabel = el("label", { for: "disconnect-uninstall" });
  #stay = el("p", { class: "dialog__stay" });
  #cancel = el("button", { type: "button", class: "button", "data-testid": "disconnect-cancel" });
  #confirm = el("button", { type: "button", class: "button button--danger button--primary", "data-testid": "disconnect-confirm" });
  #problem;
  #isBusy = false;

  /**
   * @param {object} options
   * @param {string} options.account
   * @param {import("./model.js").Model["disconnect"]} options.disconnect
   * @param {(text: string) => void} options.announce
   * @param {() => void} options.onDone called once the dialog is closed after success
   */
  constructor({ account, disconnect, announce, onDone }) {
    this.#account = account;
    this.#problem = new ProblemSlot(account);
    this.element.append(
      this.#title,
      this.#text,
      el("div", { class: "checkbox" }, this.#check, this.#checkLabel),
      this.#stay,
      this.#problem.element,
      el("div", { class: "dialog__buttons" }, this.#cancel, this.#confirm),
      this.live,
    );
    this.#check.addEventListener("change", () => this.update());
    this.#cancel.addEventListener("click", () => this.element.close());
    keepOpen(this.element, () => this.#isBusy);
    this.element.addEventListener("close", () => document.body.classList.remove("has-dialog"));
    this.#confirm.addEventListener("click", async () => {
      if (this.#isBusy) return;
      this.#setBusy(true);
      announce(t("disconnect.busy"));
      const problem = await disconnect({ uninstall: this.#check.checked });
      this.#setBusy(false);
      this.#problem.update(problem);
      if (problem) {
        // Where the session has ended with it, the page says so.
        if (this.element.open) announce(problemTitle(problem));
        return;
      }
      this.element.close();
      onDone();
    });
  }

  /** Shows the dialog with nothing ticked. */
  open() {
    this.#check.checked = false;
    this.#problem.update(null);
    setText(this.live, "");
    this.update();
    // Our frame may be lower than the dialog is high.
    document.body.classList.add("has-dialog");
    this.element.showModal();
  }

  /** Closes it, when the page can do nothing more. */
  abandon() {
    if (this.element.open) this.element.close();
  }

  /** Writes the texts in the language of now. */
  update() {
    setText(this.#title, t("disconnect.title", { account: this.#account }));
    setText(this.#text, t("disconnect.text"));
    setText(this.#checkLabel, t("disconnect.uninstall"));
    setText(this.#stay, t("disconnect.stay"));
    setShown(this.#stay, !this.#check.checked);
    setText(this.#cancel, t("disconnect.cancel"));
    setText(this.#confirm, t(this.#isBusy ? "disconnect.busy" : "disconnect.confirm"));
  }

  #setBusy(isBusy) {
    this.#isBusy = isBusy;
    setAttribute(this.#confirm, "aria-disabled", isBusy ? "true" : null);
    this.#cancel.disabled = isBusy;
    this.#check.disabled = isBusy;
    this.update();
  }
}
