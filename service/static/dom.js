/**
 * Building and updating elements. Text goes in as text only: every word that Zendesk sends is untrusted, so nothing here
 * takes markup.
 */

/**
 * A new element.
 *
 * @param {string} tag
 * @param {Record<string, string|number|boolean|null|undefined>} [attributes] true: present; false, null: absent
 * @param {...(Node|string|null)} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * Sets, or with false, null and undefined removes, an attribute; leaves an equal one alone.
 *
 * @param {Element} element
 * @param {string} name
 * @param {string|number|boolean|null|undefined} value
 */
export function setAttribute(element, name, value) {
  if (value === false || value === null || value === undefined) {
    element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/**
 * Sets an element's text; leaves an equal one alone, so that selections and live regions are not disturbed.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Sets the text of a name, which may break after a dot, colon or underscore rather than anywhere.
 *
 * @param {Element} element
 * @param {string} name
 */
export function setName(element, name) {
  if (element.textContent === name) return;
  const parts = name.match(/[^.:_]*[.:_]|[^.:_]+/g) ?? [];
  element.replaceChildren(...parts.flatMap((part, at) => (at ? [document.createElement("wbr"), part] : [part])));
}

/**
 * Shows or hides an element.
 *
 * @param {HTMLElement} element
 * @param {boolean} shown
 */
export function setShown(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

/**
 * Lets Escape not close a dialog for as long as something is under way that closing would hide and not end.
 *
 * @param {HTMLDialogElement} dialog
 * @param {() => boolean} isBusy
 */
export function keepOpen(dialog, isBusy) {
  const refuse = (event) => {
    if (isBusy()) event.preventDefault();
  };
  dialog.addEventListener("cancel", refuse);
  // A browser asks by `cancel` only once: a second Escape would close it all the same.
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Escape") refuse(event);
  });
}

/**
 * Puts children into this order, moving only those that stand elsewhere and removing all others, so that focus stays.
 *
 * @param {Element} parent
 * @param {Element[]} children
 */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) {
    if (!wanted.has(child)) child.remove();
  }
  let place = parent.firstElementChild;
  for (const child of children) {
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
}
