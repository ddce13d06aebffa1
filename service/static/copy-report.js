/** Makes the copy button of an error page work; it stays hidden without scripts. */

import { copyTextOf } from "./clipboard.js";

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const copied = await copyTextOf(document.getElementById(button.dataset.copy));
    button.textContent = copied ? "Copied" : "Press Ctrl+C";
  });
}
