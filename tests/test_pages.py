"""The front page and what monitors ask for."""

import json
import re
import shlex
from html import unescape
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from redis import Redis

from sandbox.simulator import CLIENT_ID
from service.ground.settings import VARIABLES
from service.operations.zendesk_app.command import package_app
from service.server.health import Release
from tests.conftest import MakeAdmin, MakeApp
from tests.steps import PUBLIC_URL

OWN_HOST = PUBLIC_URL.partition("://")[2]


@pytest.fixture
def browser(make_app: MakeApp) -> FlaskClient:
    return make_app().test_client()


@pytest.mark.parametrize(
    "typed", ["acme", "ACME ", "acme.zendesk.com", "https://acme.zendesk.com/agent/dashboard?x=1#y"]
)
def test_the_form_leads_to_the_accounts_consent(browser: FlaskClient, typed: str) -> None:
    reply = browser.get("/", query_string={"account": typed})

    assert reply.status_code == 303
    assert reply.location == "/oauth/authorize?subdomain=acme"


@pytest.mark.parametrize("typed", ["", "   ", "acme.evil.com", "acme@evil.com", "//evil.com", '"><script>'])
def test_the_form_explains_what_it_takes_and_keeps_what_was_typed(browser: FlaskClient, typed: str) -> None:
    reply = browser.get("/", query_string={"account": typed})

    assert reply.status_code == 400
    assert "type acme for acme.zendesk.com" in reply.text
    assert 'aria-invalid="true"' in reply.text
    assert "<script>" not in reply.text
    assert typed in unescape(reply.text)


def test_pages_ignore_parameters_they_do_not_know(browser: FlaskClient) -> None:
    assert browser.get("/?utm_source=x").status_code == 200


def test_the_page_shows_the_steps_that_remain(make_admin: MakeAdmin) -> None:
    person = make_admin(ZENDESK_APPS=None)
    before = person.browser.get("/", base_url=PUBLIC_URL)
    assert before.status_code == 200
    assert f"{PUBLIC_URL}/oauth/callback" in before.text
    assert CLIENT_ID in before.text
    assert (before.text.count("step--done"), before.text.count(">next<"), before.text.count("to do")) == (2, 1, 3)

    person.come_back(person.simulator.consent(person.authorize("acme")))
    after = person.browser.get("/", base_url=PUBLIC_URL).text
    assert (after.count("step--done"), after.count(">next<"), after.count("to do")) == (4, 1, 1)
    assert "acme is connected" not in after


def steps_of(page: str) -> dict[str, str]:
    """Return the text of each step by its title."""
    found = {}
    for step in re.findall(r'<li class="step.*?</li>', page, re.DOTALL):
        title, *text = [line.strip() for line in unescape(re.sub(r"<[^>]+>", "\n", step)).split("\n") if line.strip()]
        found[title] = " ".join(text)
    return found


def test_the_steps_come_in_the_order_in_which_they_can_be_taken(browser: FlaskClient) -> None:
    assert list(steps_of(browser.get("/").text)) == [
        "Set the public address",
        "Reach the store (Redis)",
        "Create the OAuth client in Zendesk",
        "Connect an account",
        "Install the app in Zendesk",
        "Tell this service the app's id",
    ]


def test_the_page_gives_the_command_that_makes_the_package(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app(ZENDESK_APPS=None, PUBLIC_URL="https://zis.acme.example", ZENDESK_URL_TEMPLATE=None)
    steps = steps_of(app.test_client().get("/").text)
    step = steps["Install the app in Zendesk"]
    program, *arguments = shlex.split(step.partition("install the app. Download the package ")[2])

    assert program == ".venv/bin/flask"
    assert arguments == [
        "--app", "service", "package-app", "zis-job-specs.zip", "--public-url", "https://zis.acme.example",
    ]  # fmt: skip
    result = CliRunner().invoke(package_app, [str(tmp_path / arguments[3]), *arguments[4:]])
    assert (result.exit_code, result.stderr) == (0, "")


def test_the_page_leads_the_only_account_to_the_apps_id(make_app: MakeApp) -> None:
    app = make_app(ZENDESK_APPS=None, ZENDESK_SUBDOMAINS="acme", ZENDESK_URL_TEMPLATE="https://{subdomain}.zendesk.com")
    page = app.test_client().get("/").text

    assert 'href="https://acme.zendesk.com/api/v2/apps/owned.json"' in page
    assert "Set ZENDESK_APPS to it and restart" in steps_of(page)["Tell this service the app's id"]


@pytest.mark.parametrize("subdomains", ["acme,globex", "*"])
def test_the_page_tells_several_accounts_that_each_may_have_its_own_app(make_app: MakeApp, subdomains: str) -> None:
    page = make_app(ZENDESK_APPS=None, ZENDESK_SUBDOMAINS=subdomains).test_client().get("/").text

    assert "YOUR-ACCOUNT" in steps_of(page)["Tell this service the app's id"]
    assert "acme:123,globex:456" in steps_of(page)["Tell this service the app's id"]


@pytest.mark.parametrize(
    ("apps", "subdomains", "said"),
    [
        ("77", "acme,globex", "done ZENDESK_APPS is set"),
        ("acme:77,globex:78", "acme,globex", "done ZENDESK_APPS is set"),
        ("acme:77", "*", "done ZENDESK_APPS is set"),
        ("acme:77", "acme,globex,initech", "to do ZENDESK_APPS names no app for 2 of the accounts that may connect"),
    ],
    ids=["one for all", "one each", "any account", "two are missing"],
)
def test_the_page_shows_whether_every_account_has_an_app(
    make_app: MakeApp, apps: str, subdomains: str, said: str
) -> None:
    page = make_app(ZENDESK_APPS=apps, ZENDESK_SUBDOMAINS=subdomains).test_client().get("/").text

    assert steps_of(page)["Install the app in Zendesk"].startswith("done")
    assert steps_of(page)["Tell this service the app's id"].startswith(said)
    assert 'href="/zendesk-app.zip"' in page, "also when done: the next account needs it"
    assert "package-app zis-job-specs.zip" in page


# --- the package, the release, the other pages ---


def test_the_package_is_the_one_that_package_app_makes(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app(PUBLIC_URL="https://zis.acme.example", ZENDESK_URL_TEMPLATE=None)
    reply = app.test_client().get("/zendesk-app.zip", base_url="https://zis.acme.example")
    out = tmp_path / "app.zip"
    assert CliRunner().invoke(package_app, [str(out), "--public-url", "https://zis.acme.example"]).exit_code == 0

    assert (reply.status_code, reply.content_type) == (200, "application/zip")
    assert reply.headers["Content-Disposition"] == 'attachment; filename="zis-job-specs.zip"'
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.data == out.read_bytes()


def test_the_package_has_a_name(browser: FlaskClient) -> None:
    with ZipFile(BytesIO(browser.get("/zendesk-app.zip", base_url=PUBLIC_URL).data)) as package:
        manifest = json.loads(package.read("manifest.json"))
    assert manifest["name"] == "ZIS job specs"
    assert manifest["location"]["support"]["nav_bar"]["url"] == f"{PUBLIC_URL}/sidebar"


def test_there_is_no_package_before_the_address_is_known(make_app: MakeApp) -> None:
    app = make_app(PUBLIC_URL="https://set-me-later.example", ZENDESK_URL_TEMPLATE=None)
    browser = app.test_client()
    reply = browser.get("/zendesk-app.zip", base_url="https://set-me-later.example")

    assert reply.status_code == 404
    assert "once PUBLIC_URL is set" in reply.text
    assert "/zendesk-app.zip" not in browser.get("/", base_url="https://set-me-later.example").text


def test_packages_are_limited_by_address(make_app: MakeApp) -> None:
    browser = make_app().test_client()
    assert {browser.get("/zendesk-app.zip").status_code for _ in range(300)} == {200}
    assert browser.get("/zendesk-app.zip").status_code == 429


def test_the_page_names_the_release_and_the_way_on(browser: FlaskClient) -> None:
    page = browser.get("/").text
    live = browser.get("/livez").get_json()

    assert f"Release {live['version']}" in page
    assert (live["commit"] or "")[:12] in page
    for path in ("/docs", "/console"):
        assert f'href="{path}"' in page
        assert browser.get(path).status_code == 200


def test_the_page_asks_for_a_client_of_its_own(browser: FlaskClient) -> None:
    step = steps_of(browser.get("/").text)["Create the OAuth client in Zendesk"]

    assert "add a confidential client" in step
    assert f"{PUBLIC_URL}/oauth/callback" in step


def test_the_page_asks_to_keep_what_the_integrations_own_client_has(make_app: MakeApp) -> None:
    app = make_app(ZENDESK_CLIENT_ID="zis_acme_orders", ZIS_INTEGRATIONS=None)
    step = steps_of(app.test_client().get("/").text)["Create the OAuth client in Zendesk"]

    assert "The client is zis_acme_orders" in step
    assert f"Append the redirect URL {PUBLIC_URL}/oauth/callback to its list and leave what is there" in step


def test_the_page_does_not_claim_to_know_what_only_the_store_knows(make_app: MakeApp) -> None:
    steps = steps_of(make_app(REDIS_URL="redis://127.0.0.1:1/0").test_client().get("/").text)

    assert steps["Reach the store (Redis)"].startswith("to do It does not answer under REDIS_URL")
    assert steps["Create the OAuth client in Zendesk"].startswith("not known")
    assert steps["Connect an account"].startswith("not known")


def test_the_page_shows_that_the_app_is_configured(browser: FlaskClient) -> None:
    assert browser.get("/", base_url=PUBLIC_URL).text.count("step--done") == 4


@pytest.mark.parametrize(("host", "differs"), [(OWN_HOST, False), ("LOCALHOST:9001", False), ("other.example", True)])
def test_the_page_says_where_it_was_reached_by_another_host(browser: FlaskClient, host: str, differs: bool) -> None:
    page = browser.get("/", base_url=f"http://{host}").text

    assert ('data-testid="host-differs"' in page) == differs
    assert (f"under {host}" in page) == differs


def test_a_forwarded_host_is_not_believed(make_app: MakeApp) -> None:
    browser = make_app(TRUSTED_PROXIES="1").test_client()
    page = browser.get("/", base_url=PUBLIC_URL, headers={"X-Forwarded-Host": "evil.example"}).text

    assert "evil.example" not in page
    assert 'data-testid="host-differs"' not in page


@pytest.mark.parametrize(("subdomains", "hint"), [("globex", "globex"), ("acme,globex", "acme"), ("*", "acme")])
def test_the_example_is_the_one_account_that_may_connect(make_app: MakeApp, subdomains: str, hint: str) -> None:
    page = make_app(ZENDESK_SUBDOMAINS=subdomains).test_client().get("/").text

    assert f"https://{hint}.zendesk.com" in page


def test_no_secret_stands_on_the_page(make_app: MakeApp, environment: dict[str, str]) -> None:
    page = make_app().test_client().get("/").text

    secret = {"SECRET_KEYS", "ZENDESK_CLIENT_SECRET", "REDIS_URL"}
    assert secret <= {one.name for one in VARIABLES}
    assert not any(environment[name] in page for name in secret)


def test_liveness_names_version_and_commit(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEROKU_SLUG_COMMIT", "4c0ffee")

    assert make_app().test_client().get("/livez").get_json() == {
        "status": "ok",
        "version": "0.1.0",
        "commit": "4c0ffee",
    }


@pytest.mark.parametrize(
    ("files", "commit"),
    [
        ({}, None),
        ({"HEAD": "4c0ffee\n"}, "4c0ffee"),
        ({"HEAD": "ref: refs/heads/main\n", "refs/heads/main": "4c0ffee\n"}, "4c0ffee"),
        ({"HEAD": "ref: refs/heads/packed\n"}, None),
    ],
    ids=["no checkout", "detached", "branch", "packed"],
)
def test_the_commit_is_the_checkouts_where_nobody_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], commit: str | None
) -> None:
    monkeypatch.delenv("HEROKU_SLUG_COMMIT", raising=False)
    for name, text in files.items():
        path = tmp_path / ".git" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    assert Release.current(tmp_path).commit == commit


def test_readiness_asks_redis(browser: FlaskClient, redis: Redis) -> None:
    assert browser.get("/readyz").get_json() == {"status": "ok"}
    assert redis.ping()


def test_there_is_nothing_for_search_engines_and_no_icon(browser: FlaskClient) -> None:
    assert browser.get("/robots.txt").text == "User-agent: *\nDisallow: /\n"
    assert browser.get("/favicon.ico").status_code == 204
