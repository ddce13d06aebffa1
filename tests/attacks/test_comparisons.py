"""What the code itself has to show: secrets compared in constant time, no rule of the linter's switched off whole."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.attacks

ROOT = Path(__file__).resolve().parent.parent.parent
SERVICE = ROOT / "service"
SECRET = re.compile(
    r"token(?!_type|_id)|secret|password|digest|signature|hmac|verifier|cookie|bearer|nonce|authorization_code|(^|_)(sealed|state)$"
)
# Comparisons that are of secrets by their names, and why nobody can learn one from how long they take.
ALLOWED = {
    # Our own stored token against our own stored token: neither side is a caller's.
    ("access_tokens.py", "grant.access_token != refused"),
    ("access_tokens.py", "grant.access_token != spent.access_token"),
    ("refreshing.py", "read.access_token != spent.access_token"),
    ("refreshing.py", "current.refresh_token != noted.refresh_token"),
    ("refresh_rules.py", "current.refresh_token != noted.refresh_token"),
    ("refresh_rules.py", "current.access_token == written.access_token"),
    ("grants.py", "held.access_token == minted.access_token"),
    ("zis_tokens.py", "minted.access_token == self.token"),
    ("stored_pairs.py", "current.access_token == self.spent.access_token"),
    ("stored_pairs.py", "current.access_token != self.written.access_token"),
    ("stored_pairs.py", "self.spent.access_token == other.spent.access_token"),
    ("access_tokens.py", "self.usable(account).access_token != refused"),
    # Of the files' contents, and in every page: no secret.
    ("serving.py", "first == files.digest"),
}
Found = tuple[str, str]


@cache
def modules() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text())) for path in SERVICE.rglob("*.py")]


def name_of(node: ast.expr) -> str | None:
    """Return what a value is called where it is used; None: it is no name."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), *_]):
            return name
        case ast.Call(func=function):
            return name_of(function)
    return None


def is_fixed(node: ast.expr) -> bool:
    """Return whether a value is written in the code: compared with that, nothing secret is guessed."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Set | ast.Tuple | ast.List):
        return all(is_fixed(element) for element in node.elts)
    return isinstance(node, ast.Name | ast.Attribute) and bool(re.fullmatch(r"_?[A-Z][A-Z_]+", name_of(node) or ""))


def comparisons_of_secrets(tree: ast.Module) -> Iterator[str]:
    """Return every `==`, `!=`, `in` and `not in` between values of which one is called like a secret."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(
            isinstance(one, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for one in node.ops
        ):
            sides = [node.left, *node.comparators]
            if any(SECRET.search(name_of(side) or "") for side in sides) and not any(is_fixed(side) for side in sides):
                yield ast.unparse(node)


def test_the_search_finds_what_it_is_for() -> None:
    for careless in (
        "token == offered",
        "record['browser_secret'] != sent",
        "a.digest() == b",
        "state in states",
        "x.get('state') == y",
    ):
        assert list(comparisons_of_secrets(ast.parse(careless))) == [ast.unparse(ast.parse(careless))], careless
    for fine in (
        "hmac.compare_digest(token, offered)",
        "token is None",
        "kind == 'token'",
        "token.count == 3",
        "access_token in {'', None}",
    ):
        assert list(comparisons_of_secrets(ast.parse(fine))) == [], fine


def test_no_secret_is_compared_byte_by_byte() -> None:
    found: set[Found] = {(path.name, text) for path, tree in modules() for text in comparisons_of_secrets(tree)}

    assert found - ALLOWED == set(), "use hmac.compare_digest, or say in ALLOWED why not"
    assert ALLOWED - found == set(), "no longer there"


def test_what_a_browser_brings_is_compared_in_constant_time() -> None:
    """The secrets of ours that are compared here and not by a library: the handshake's cookie, the scraper's token."""
    calls = [
        (path.name, ast.unparse(node))
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "hmac.compare_digest"
    ]

    assert sorted(calls) == [
        ("scrape.py", "hmac.compare_digest(shown, token.encode())"),
        ("states.py", "hmac.compare_digest(record.browser, _digest(browser_secret))"),
    ]


def test_no_signature_is_made_or_checked_by_hand() -> None:
    """joserfc compares signatures (in constant time) and cryptography does the rest; nobody here calls `hmac.new`."""
    by_hand = re.compile(
        r"\bhmac\.(new|digest)\b|\bhashlib\.(md5|sha1)\b|\brandom\.(random|choice|randint|getrandbits)\b|\buuid[14]?\b\("
    )

    assert [path.name for path, _ in modules() if by_hand.search(path.read_text())] == []


def test_nothing_runs_what_it_reads() -> None:
    forbidden = {
        "eval",
        "exec",
        "compile",
        "__import__",
        "pickle",
        "marshal",
        "shelve",
        "yaml",
        "subprocess",
        "os.system",
        "popen",
    }
    used = {
        (path.name, name)
        for path, tree in modules()
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom)
            else [ast.unparse(node.func)] if isinstance(node, ast.Call)
            else []
        )
        if name in forbidden
    }  # fmt: skip
    assert used == set()


def test_no_rule_of_security_is_switched_off_whole() -> None:
    """ruff's S (bandit) holds in all of service/; beside it the simulator's secrets are for show."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert lint["select"] == ["ALL"]
    assert [rule for rule in lint["ignore"] if re.fullmatch(r"S\d*", rule)] == []
    excepted = lint["per-file-ignores"]
    assert [where for where in excepted if where.startswith("service")] == []
    assert {rule for rule in excepted["sandbox/**"] if rule.startswith("S")} == {"S105", "S106", "S107"}


def test_every_exception_from_a_rule_names_it_and_says_why() -> None:
    comments = [
        line for path, _ in modules() for line in path.read_text().splitlines() if "noqa" in line and "#" in line
    ]
    of_security = [line for line in comments if re.search(r"noqa: S\d", line)]

    assert comments
    assert [line for line in comments if not re.search(r"# noqa: [A-Z]+\d+", line)] == []
    assert [line for line in of_security if not re.search(r"# noqa: S\d+ - \w+", line)] == []
    assert not any(re.search(r"noqa: (S1(0[1-47]|[1-3]\d)|S[3-7](?!11))", line) for line in of_security)
