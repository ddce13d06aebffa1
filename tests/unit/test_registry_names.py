"""A job spec's name as a caller gives it: short or qualified."""

import pytest

from service.ground.errors import InvalidRequest
from service.zendesk.zis_registry import SpecName, parse_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ship", SpecName("ship", None)),
     ("Ship it, now!", SpecName("Ship it, now!", None)),
     ("größe", SpecName("größe", None)),
     ("x" * 5000, SpecName("x" * 5000, None)),
     ("a/b\\c?d#e%2Ff&g", SpecName("a/b\\c?d#e%2Ff&g", None)),
     (" \t\r\n\0\x85\u2028\ufffd", SpecName(" \t\r\n\0\x85\u2028\ufffd", None)),
     ("a:b", SpecName("a:b", None)),
     ("zis:acme_orders", SpecName("zis:acme_orders", None)),
     ("zis::job_spec:a", SpecName("zis::job_spec:a", None)),
     ("ZIS:acme_orders:job_spec:a", SpecName("ZIS:acme_orders:job_spec:a", None)),
     ("zis:acme_orders:job_spec:Ship", SpecName("Ship", "acme_orders")),
     ("zis:acme_orders:job_spec:a:b/c", SpecName("a:b/c", "acme_orders")),
     ("zis:acme_orders:job_spec:zis:globex:flow:x", SpecName("zis:globex:flow:x", "acme_orders"))],
    ids=["short", "punctuation", "unicode", "long", "addresses", "control", "colon", "no name", "no integration",
         "upper case", "qualified", "qualified with a colon", "qualified twice"],
)  # fmt: skip
def test_a_name_is_short_or_qualified(text: str, expected: SpecName) -> None:
    assert parse_name(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "zis:acme_orders:flow:ship", "zis:acme_orders:action:a:b", "\ud800", "zis:acme_orders:job_spec:\udcff"],
    ids=["nothing", "flow", "action", "half a pair", "half a pair, qualified"],
)
def test_anything_else_is_no_name(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_name(text)
