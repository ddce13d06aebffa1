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
  // Firefox observes nothing in a frame that is not displayed. It says only that the frame has a size again, the old one
  // unless the window was resized meanwhile; then nobody is told. Every other resize would ask because a filter shrinks
  // the frame.
  let size = sizeNow();
  addEventListener("resize", () => {
    const before = size;
    size = sizeNow();
    if (size === before) tell();
  });
}

function sizeNow() {
  return `${innerWidth} ${innerHeight}`;
}
