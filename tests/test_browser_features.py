"""The pages ask nothing of a browser that README does not, unless something older stands beside it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The sandbox's pages, too: it is what people see first, in whatever browser they have.
FOLDERS = ("service/static", "sandbox/workspace", "sandbox/packaged_app/assets")


def read(pattern: str) -> dict[str, str]:
    """Return the texts of such files of all pages, by folder and name."""
    return {f"{folder}/{path.name}": path.read_text() for folder in FOLDERS for path in (ROOT / folder).glob(pattern)}


STYLES = read("*.css")
SCRIPTS = read("*.js")

# Newer than Chrome 103, Firefox 112 or Safari 16. Not here, because a page without them is only slower or plainer:
# content-visibility, accent-color, modulepreload.
NEW_STYLES = (
    r"light-dark\(", r"color-mix\(", r"\b(ok)?l(ch|ab)\(", r":has\(", r"^\s*&", r"\bsubgrid\b", r"\d[dsl]v[hw]\b",
    r"@(scope|starting-style|container|property|view-transition)\b", r":(popover-open|open|user-(in)?valid)\b",
    r"\b(text-wrap|field-sizing|interpolate-size|anchor-name|transition-behavior|scrollbar-(color|gutter|width)):",
)  # fmt: skip
NEW_SCRIPTS = (
    r"\(\?<[=!]", r"\bPromise\.(withResolvers|try)\b", r"\b(Object|Map)\.groupBy\b", r"\bArray\.fromAsync\b",
    r"\.(toSorted|toReversed|toSpliced|isWellFormed|toWellFormed|checkVisibility|requestClose|showPopover|getOrInsert)\(",
    r"\bAbortSignal\.any\b", r"\bURL\.(canParse|parse)\b", r"\brequestIdleCallback\b", r"\bscheduler\.",
    r"\.(union|intersection|difference|isSubsetOf|isSupersetOf|isDisjointFrom)\(",
    r"(?<!Object)\.(values|keys|entries)\(\)\.(map|filter|some|every|find|reduce|toArray|take|drop|flatMap|forEach)\(",
    r"/[dgimsuy]*v[dgimsuy]*\.test", r"\bimport\b[^;]* with \{",
)  # fmt: skip


def found(patterns: tuple[str, ...], sources: dict[str, str]) -> dict[str, list[str]]:
    """Return by file what of this occurs in it, outside of comments."""
    plain = {
        name: re.sub(r"/\*.*?\*/|^\s*//.*?$", "", text, flags=re.DOTALL | re.MULTILINE)
        for name, text in sources.items()
    }
    hits = {
        name: [hit[0] for one in patterns for hit in re.finditer(one, text, re.MULTILINE)]
        for name, text in plain.items()
    }
    return {name: those for name, those in hits.items() if those}


def test_pages_are_found_in_every_folder() -> None:
    assert {name.rpartition("/")[0] for name in (*STYLES, *SCRIPTS)} == set(FOLDERS)


def test_style_sheets_need_nothing_that_is_newer_than_the_browsers_served() -> None:
    assert found(NEW_STYLES, STYLES) == {}


def test_scripts_need_nothing_that_is_newer_than_the_browsers_served() -> None:
    assert found(NEW_SCRIPTS, SCRIPTS) == {}


@pytest.mark.parametrize("line", ["--fg: light-dark(#000, #fff);", "a:has(b) { color: red; }", "  height: 100dvh;"])
def test_a_newer_style_would_be_found(line: str) -> None:
    assert found(NEW_STYLES, {"x.css": f"/* one */\n{line}\n"}) != {}


@pytest.mark.parametrize("line", ["name.split(/(?<=x)/);", "map.values().map(f);", "AbortSignal.any([]);"])
def test_a_newer_script_would_be_found(line: str) -> None:
    assert found(NEW_SCRIPTS, {"x.js": f"// one\n{line}\n"}) != {}


@pytest.mark.parametrize("property_name", ["user-select", "appearance"])
def test_what_webkit_knows_by_its_own_name_is_said_by_that_as_well(property_name: str) -> None:
    for name, text in STYLES.items():
        for said in re.finditer(rf"^(.*)\n\s+{property_name}: (.*);", text, re.MULTILINE):
            assert said[1].strip() == f"-webkit-{property_name}: {said[2]};", name


def test_the_dark_colours_are_the_same_by_the_system_and_by_zendesk() -> None:
    garden = STYLES["service/static/garden.css"]
    media = re.search(
        r"prefers-color-scheme: dark\) \{\s+:root:not\(\[data-scheme=.light.\]\) \{(.*?)\}", garden, re.DOTALL
    )
    chosen = re.search(r":root\[data-scheme=.dark.\] \{\s+color-scheme: dark;(.*?)\}", garden, re.DOTALL)
    assert media is not None
    assert chosen is not None
    assert media[1].split() == chosen[1].split()
    assert "--bg:" in media[1]


def test_dialogs_are_no_grid_which_webkit_stretches() -> None:
    rule = re.search(r"\.dialog\[open\] \{(.*?)\}", STYLES["service/static/sidebar.css"], re.DOTALL)
    assert rule is not None
    assert "display: flex" in rule[1]
