import { ZISClient } from "https://zis.example.com/static/zis-client.js";

const [says, list] = [document.getElementById("says"), document.getElementById("list")];
let client;

document.getElementById("sign-in").addEventListener("click", () =>
  told(async () => {
    client = await ZISClient.signIn({ service: "https://zis.example.com", subdomain: "acme" });
    await show();
  }),
);

async function show() {
  const { job_specs } = await client.jobSpecs();
  list.replaceChildren(...job_specs.map(rowOf));
}

function rowOf({ qualified_name: name, installed }) {
  const button = document.createElement("button");
  button.textContent = `${installed ? "Uninstall" : "Install"} ${name}`;
  button.addEventListener("click", () =>
    told(async () => {
      await (installed ? client.uninstall(name) : client.install(name));
      await show();
    }),
  );
  const row = document.createElement("li");
  row.append(button);
  return row;
}

async function told(work) {
  says.textContent = "…";
  try {
    await work();
    says.textContent = "";
  } catch (problem) {
    says.textContent = problem.detail ?? problem.message;
  }
}
