import { ZISClient } from "https://zis.example.com/static/zis-client.js";

const [says, list] = [document.getElementById("says"), document.getElementById("list")];
let client;
let attempt;

document.getElementById("sign-in").addEventListener("click", () => {
  attempt?.abort();
  attempt = new AbortController();
  told(async (signal) => {
    client = await ZISClient.signIn({ service: "https://zis.example.com", subdomain: "acme", signal });
  }, attempt.signal);
});

async function show() {
  const { job_specs } = await client.jobSpecs();
  list.replaceChildren(...job_specs.map(rowOf));
}

function rowOf({ qualified_name: name, installed }) {
  const button = document.createElement("button");
  button.textContent = `${installed ? "Uninstall" : "Install"} ${name}`;
  button.addEventListener("click", () => told(() => (installed ? client.uninstall(name) : client.install(name))));
  const row = document.createElement("li");
  row.append(button);
  return row;
}

async function told(work, signal) {
  says.textContent = "…";
  try {
    await work(signal);
    await show();
    says.textContent = "";
  } catch (problem) {
    // Another click has taken its place.
    if (!signal?.aborted) says.textContent = problem.detail ?? problem.message;
  }
}
