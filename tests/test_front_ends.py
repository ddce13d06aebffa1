"""What is told to the makers of other front ends is what is there."""

import re

from sandbox.simulator.packaged_app import EXAMPLE, FOLDER
from tests.conftest import MakeApp
from tests.front_end import FRONT_END
from tests.steps import services
from tests.workers import ROOT

STATIC = ROOT / "service" / "static"
GUIDE = (ROOT / "docs" / "your-own-front-end.md").read_text()
APP = FOLDER.parent


def methods_of(text: str, pattern: str) -> set[str]:
    """Return the public methods of ZISClient in a source."""
    body = text.partition("export class ZISClient {")[2]
    return set(re.findall(pattern, body, re.MULTILINE)) - {"constructor"}


def test_the_guide_shows_the_app_that_the_sandbox_opens() -> None:
    for kind, path in (("json", "manifest.json"), ("html", "assets/iframe.html"), ("js", "assets/app.js")):
        assert f"```{kind}\n{(APP / path).read_text()}```" in GUIDE, path
    assert len((APP / "assets/app.js").read_text().splitlines()) <= 40
    assert EXAMPLE in GUIDE


def test_the_types_have_every_method_and_no_other() -> None:
    written = methods_of((STATIC / "zis-client.js").read_text(), r"^  (?:static )?(?:async )?(\w+)\([^)]*\) \{$")
    typed = methods_of((STATIC / "zis-client.d.ts").read_text(), r"^  (?:static )?(\w+)\(")
    assert "signIn" in written
    assert written == typed


def test_the_types_have_every_member_of_a_problem() -> None:
    written = set(re.findall(r"^    this\.(\w+) =", (STATIC / "zis-problem.js").read_text(), re.MULTILINE)) - {"name"}
    problem = (STATIC / "zis-client.d.ts").read_text().partition("class ZISProblem")[2].partition("\n}")[0]
    assert written == set(re.findall(r"^  readonly (\w+):", problem, re.MULTILINE))


def test_the_types_are_served_beside_the_client(make_app: MakeApp) -> None:
    browser = make_app(ALLOWED_ORIGINS=FRONT_END).test_client()
    for name in ("zis-client.js", "zis-client.d.ts"):
        reply = browser.get(f"/static/{name}", headers={"Origin": FRONT_END}, follow_redirects=True)
        assert reply.status_code == 200
        assert reply.headers["Access-Control-Allow-Origin"] == FRONT_END


def test_the_guide_names_an_origin_that_the_setting_takes(make_app: MakeApp) -> None:
    (origin,) = re.findall(r"^ALLOWED_ORIGINS=(\S+)$", GUIDE, re.MULTILINE)
    app = make_app(ALLOWED_ORIGINS=origin)
    settings = services(app).settings
    assert settings.allowed_origins == {origin}
