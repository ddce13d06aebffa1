/** The page in Zendesk's sidebar: opened with what stands in it, and then in the company of Zendesk's SDK. */

import { Page } from "./page.js";
import { Host } from "./zaf.js";

const page = new Page(JSON.parse(document.getElementById("bootstrap").textContent), { notify: (text) => host.notify(text) });
const host = new Host({
  onLocale: (tag) => page.speak(tag),
  onScheme: (scheme) => {
    document.documentElement.dataset.scheme = scheme;
  },
  onActivated: () => page.lookAgain(),
});

page.open();
// After the rows, which do not wait for it.
host.load();
