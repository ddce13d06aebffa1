/** Whether somebody may be looking at this page again. */

/**
 * Tells when the page may have come into sight: its tab, or its frame, which another page hides and shows. A hidden frame
 * stays `visible` for the browser.
 *
 * @param {() => void} tell called at least once for each time
 */
export function whenSeen(tell) {
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") tell();
  });
  new IntersectionObserver((entries) => {
    if (entries.at(-1).isIntersecting) tell();
  }).observe(document.documentElement);
}
