"""`/static/zis-client.js` as other pages of the service's origin use it."""

from typing import Any

import pytest
import requests
from playwright.sync_api import Page, Route

from tests.browser.workspace import ALL, ORDERS, Workspace
from tests.steps import bootstrap_in, wait_until

pytestmark = pytest.mark.browser

# The three lines of its header.
THREE_LINES = """async ({ session_token: sessionToken, expires_in: expiresIn }) => {
  const { ZISClient } = await import("/static/zis-client.js");
  const client = new ZISClient({ sessionToken, expiresIn, apiBase: "/api/v1" });
  const { job_specs } = await client.jobSpecs({ integration: "acme_orders" });
  return job_specs;
}"""


@pytest.fixture
def bootstrap(workspace: Workspace) -> dict[str, Any]:
    """What a page is given that Zendesk opens for acme's admin; the account is connected."""
    workspace.grant()
    simulator = workspace.simulator
    reply = requests.post(f"{simulator.service_url}/sidebar", data={"token": simulator.sign("acme", 101)}, timeout=30)
    return bootstrap_in(reply.text)


@pytest.fixture
def other_page(workspace: Workspace, bootstrap: dict[str, Any]) -> Page:
    """Another page of the service."""
    del bootstrap
    workspace.page.goto(f"{workspace.simulator.service_url}/")
    return workspace.page


def test_three_lines_list_the_job_specs(other_page: Page, bootstrap: dict[str, Any]) -> None:
    job_specs = other_page.evaluate(THREE_LINES, bootstrap)
    assert len(job_specs) == 6
    assert {spec["integration"] for spec in job_specs} == {ORDERS}


def test_a_refusal_is_a_problem_with_its_code(other_page: Page, bootstrap: dict[str, Any]) -> None:
    problem = other_page.evaluate(
        """async ({ session_token: sessionToken, expires_in: expiresIn }) => {
             const { ZISClient, ZISProblem } = await import("/static/zis-client.js");
             const client = new ZISClient({ sessionToken, expiresIn });
             const problem = await client.install("no_such_job_spec").catch((problem) => problem);
             return { isProblem: problem instanceof ZISProblem, ...problem };
           }""",
        bootstrap,
    )
    assert (problem["isProblem"], problem["code"], problem["status"]) == (True, "job_spec_not_found", 404)
    assert problem["requestId"]


def test_a_list_that_has_not_changed_is_not_sent_again(other_page: Page, bootstrap: dict[str, Any]) -> None:
    statuses: list[int] = []
    other_page.on("response", lambda reply: statuses.append(reply.status) if "/job_specs" in reply.url else None)
    same = other_page.evaluate(
        """async ({ session_token: sessionToken, expires_in: expiresIn }) => {
             const { ZISClient } = await import("/static/zis-client.js");
             const client = new ZISClient({ sessionToken, expiresIn });
             const [first, second] = [await client.jobSpecs(), await client.jobSpecs()];
             return first.job_specs === second.job_specs && second.job_specs.length;
           }""",
        bootstrap,
    )
    assert same == ALL
    assert statuses == [200, 304]


def test_a_page_without_a_session_is_told_so(other_page: Page) -> None:
    heard = other_page.evaluate(
        """async () => {
             const { ZISClient } = await import("/static/zis-client.js");
             const heard = [];
             const onSessionExpired = ({ code }) => heard.push(code);
             const client = new ZISClient({ sessionToken: "none", onSessionExpired });
             await client.status().catch(({ code }) => heard.push(code));
             return heard;
           }"""
    )
    assert heard == ["unauthenticated", "unauthenticated"]


def test_a_desired_state_is_planned_and_applied(other_page: Page, bootstrap: dict[str, Any]) -> None:
    plan, applied, again = other_page.evaluate(
        """async ({ session_token: sessionToken, expires_in: expiresIn }) => {
             const { ZISClient } = await import("/static/zis-client.js");
             const client = new ZISClient({ sessionToken, expiresIn });
             const document = { integrations: { acme_orders: { installed: ["escalate_vip_order"] } } };
             const [plan, applied] = [await client.plan(document), await client.apply(document)];
             return [plan, applied, await client.plan(document, { rearm: true })];
           }""",
        bootstrap,
    )

    def of_it(answer: dict[str, Any]) -> list[tuple[str, str | None]]:
        return [(one["change"], one["result"]) for one in answer["changes"] if one["name"] == "escalate_vip_order"]

    assert [of_it(answer) for answer in (plan, applied, again)] == [
        [("install", None)], [("install", "ok")], [("rearm", None)]]  # fmt: skip
    assert (plan["left"], applied["left"], applied["retry_after"]) == (1, 0, None)
    assert applied["request_id"]


# --- repeating ---


class Refusals:
    """Answers a path with refusals first, and notes what came."""

    def __init__(self, page: Page, path: str, *refusals: tuple[int, int | None]) -> None:
        self.left = list(refusals)
        self.came: list[str] = []
        page.route(path, self._answer)

    def _answer(self, route: Route) -> None:
        self.came.append(route.request.method)
        if not self.left:
            route.fallback()
            return
        status, retry_after = self.left.pop(0)
        problem = {"code": "rate_limited", "status": status, "retry_after": retry_after}
        route.fulfill(status=status, json=problem, content_type="application/problem+json")


def code_of(page: Page, bootstrap: dict[str, Any], call: str) -> str:
    """Return the code of the problem that a call of the client ends with; "none": it ends well."""
    code: str = page.evaluate(
        f"""async ({{ session_token: sessionToken, expires_in: expiresIn }}) => {{
              const {{ ZISClient }} = await import("/static/zis-client.js");
              const client = new ZISClient({{ sessionToken, expiresIn }});
              return client.{call}.then(() => "none", ({{ code }}) => code);
            }}""",
        bootstrap,
    )
    return code


def test_a_get_that_is_told_to_come_again_soon_comes_again(other_page: Page, bootstrap: dict[str, Any]) -> None:
    refusals = Refusals(other_page, "**/api/v1/job_specs", (429, 0), (503, 0), (504, 1))
    assert code_of(other_page, bootstrap, "jobSpecs()") == "none"
    assert refusals.came == ["GET"] * 4


@pytest.mark.parametrize(
    ("call", "status", "retry_after"),
    [
        ("status()", 429, 4),
        ("status()", 503, None),
        ("status()", 502, 0),
        ('install("escalate_vip_order")', 429, 0),
    ],
    ids=["later", "nobody knows when", "another failure", "a change"],
)
def test_whatever_else_is_refused_is_told_at_once(
    call: str, status: int, retry_after: int | None, other_page: Page, bootstrap: dict[str, Any]
) -> None:
    refusals = Refusals(other_page, "**/api/v1/**", (status, retry_after))
    assert code_of(other_page, bootstrap, call) == "rate_limited"
    assert len(refusals.came) == 1


def test_a_sign_in_asks_every_two_seconds_or_when_it_is_told_to_until_it_is_ended(other_page: Page) -> None:
    waits, code = other_page.evaluate(
        """async () => {
             const { ZISClient } = await import("/static/zis-client.js");
             const refused = (retry_after) => Response.json({ code: "rate_limited", retry_after }, { status: 429 });
             const session = () => Response.json({ session_token: "x", expires_in: 900 });
             const answers = [refused(30), refused(1), new Response(null, { status: 202 }), session()];
             const waits = [];
             window.open = () => ({});
             HTMLFormElement.prototype.submit = () => {};
             window.fetch = async () => answers.shift();
             window.setTimeout = (goOn, milliseconds) => { waits.push(milliseconds); queueMicrotask(goOn); };
             const of = { service: location.origin, subdomain: "acme" };
             await ZISClient.signIn(of);
             const controller = new AbortController();
             // Ended while the answer is on its way.
             window.fetch = async () => { controller.abort(); return session(); };
             const end = ZISClient.signIn({ ...of, signal: controller.signal });
             return [waits, await end.then(() => "none", ({ code }) => code)];
           }"""
    )
    assert waits == [2000, 30_000, 2000, 2000, 2000]
    assert code == "sign_in_unfinished"


def test_a_get_is_repeated_for_twenty_seconds_at_most(other_page: Page, bootstrap: dict[str, Any]) -> None:
    refusals = Refusals(other_page, "**/api/v1/status", *[(429, 2)] * 50)
    other_page.clock.install()
    other_page.evaluate(
        """async ({ session_token: sessionToken, expires_in: expiresIn }) => {
             const { ZISClient } = await import("/static/zis-client.js");
             const { fetch } = window;
             window.underWay = 0;
             window.fetch = (...request) => {
               window.underWay += 1;
               return fetch(...request).finally(() => { window.underWay -= 1; });
             };
             new ZISClient({ sessionToken, expiresIn }).status().catch(({ code }) => { window.refusal = code; });
           }""",
        bootstrap,
    )
    seconds = 0
    while not other_page.evaluate("window.refusal"):
        # On a busy machine the minute would be over before the first answer.
        wait_until(lambda: bool(other_page.evaluate("window.underWay === 0")))
        other_page.clock.run_for(1000)
        seconds += 1
        assert seconds < 60
    # Each wait is of at least 2 seconds; the clock runs on while an answer is on its way.
    assert 2 <= len(refusals.came) <= 1 + 20 / 2
