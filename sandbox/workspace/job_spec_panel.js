/** The account's job specs as Zendesk has them, integration by integration; what changes is marked and said. */

export class JobSpecPanel {
  #box;
  #news;
  #shown = "";
  #account = "";
  #states = new Map();
  #open = new Map();

  constructor(box, news) {
    this.#box = box;
    this.#news = news;
  }

  show({ subdomain, integrations }) {
    const shown = JSON.stringify([subdomain, integrations]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    for (const details of this.#box.querySelectorAll("details")) this.#open.set(details.dataset.name, details.open);
    const specs = integrations.flatMap(({ name, job_specs }) => job_specs.map((spec) => ({ integration: name, ...spec })));
    const isSameAccount = this.#account === subdomain;
    const changed = new Set(isSameAccount ? specs.filter((spec) => this.#states.get(key(spec)) !== state(spec)).map(key) : []);
    this.#account = subdomain;
    this.#states = new Map(specs.map((spec) => [key(spec), state(spec)]));
    if (integrations.length === 0) this.#box.textContent = "No integration is registered on this account.";
    else this.#box.replaceChildren(...integrations.map((one) => this.#integration(one, specs, changed)));
    const told = specs.filter((spec) => changed.has(key(spec))).slice(0, 3);
    this.#news.textContent = told.map((spec) => `${spec.integration}, ${spec.name}: ${state(spec)}.`).join(" ");
  }

  #integration({ name, count, installed_count: installed }, specs, changed) {
    const details = document.createElement("details");
    details.dataset.name = name;
    details.open = this.#open.get(name) ?? count <= 20;
    const summary = document.createElement("summary");
    summary.append(`${name} `, element("span", `${installed} of ${count} installed`, "hint"));
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const title of ["Job spec and event", "In Zendesk"]) head.append(element("th", title));
    const body = table.createTBody();
    for (const spec of specs.filter((one) => one.integration === name)) {
      const row = body.insertRow();
      row.dataset.name = spec.name;
      row.className = changed.has(key(spec)) ? "changed" : "";
      row.insertCell().append(element("code", spec.name), " ", element("span", spec.event_type, "hint"));
      row.insertCell().append(element("span", state(spec), `tag tag--${state(spec).split(",")[0].replace(" ", "-")}`));
    }
    details.append(summary, table);
    return details;
  }
}

const key = (spec) => `${spec.integration}:${spec.name}`;

function state({ installed, armed, in_bundle: inBundle }) {
  if (!installed) return "not installed";
  if (!inBundle) return "installed, left over";
  return armed ? "installed" : "silent, looks installed";
}

function element(name, text, className = "") {
  return Object.assign(document.createElement(name), { textContent: text, className });
}
