/** Copying text, also where the frame we are shown in does not allow it. */

/**
 * Copies what an element shows.
 *
 * @param {HTMLElement} element
 * @returns {Promise<boolean>} false: not allowed here; the text is selected instead, for Ctrl+C
 */
export async function copyTextOf(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    // A frame needs the permission of the page around it, and Zendesk gives none.
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}
