"""The one parser of subdomains: nothing that looks like one, but is none, chooses another host."""

import pytest

from service.ground.subdomains import parse_account_address, parse_subdomain

LOOK_ALIKES = {
    "empty": "",
    "newline behind": "acme\n",
    "newline before": "\nacme",
    "carriage return": "acme\r",
    "null byte": "acme\0",
    "space": "acme ",
    "tab": "ac\tme",
    "dot": "acme.evil",
    "trailing dot": "acme.",
    "host": "acme.zendesk.com",
    "at sign": "acme@evil",
    "port": "acme:443",
    "slash": "acme/evil",
    "backslash": "acme\\evil",
    "percent": "acme%2eevil",
    "query": "acme?x",
    "fragment": "acme#x",
    "underscore": "ac_me",
    "leading hyphen": "-acme",
    "trailing hyphen": "acme-",
    "hyphen alone": "-",
    "star": "*",
    "unicode digits": "acme\u0661",
    "full-width letters": "\uff41\uff43\uff4d\uff45",
    "cyrillic letter": "\u0430cme",
    "kelvin sign": "acme\u212a",
    "full stop of another script": "acme\u3002evil",
    "64 characters": "a" * 64,
    "braces": "{subdomain}",
}


@pytest.mark.parametrize("text", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_a_look_alike_is_refused(text: str) -> None:
    assert parse_subdomain(text) is None


@pytest.mark.parametrize("text", ["a", "7", "acme", "ac-me", "a--b", "0acme9", "x" * 63, "xn--acme"])
def test_one_dns_label_is_taken(text: str) -> None:
    assert parse_subdomain(text) == text


def test_capitals_are_lowered() -> None:
    assert parse_subdomain("ACME-Support") == "acme-support"


@pytest.mark.parametrize(
    "typed",
    [
        "acme",
        " acme ",
        "ACME",
        "acme.zendesk.com",
        "acme.Zendesk.COM",
        "https://acme.zendesk.com",
        "http://acme.zendesk.com",
        "HTTPS://acme.zendesk.com/",
        "https://acme.zendesk.com/agent/tickets/1?x=y#z",
        "acme.zendesk.com?x",
        "https://acme",
    ],
)
def test_a_person_may_type_the_name_the_host_or_an_address(typed: str) -> None:
    assert parse_account_address(typed) == "acme"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "https://",
        "acme.zendesk.com.evil.com",
        "https://acme@evil.com",
        "https://evil.com/acme.zendesk.com",
        "acme.zendesk.com:443",
        "ftp://acme.zendesk.com",
        "https://https://acme",
        "acme.zendesk.com.zendesk.com",
        "a.acme.zendesk.com",
        "zendesk.com",
        ".zendesk.com",
        "acme\nevil",
    ],
)
def test_nonsense_names_no_account(typed: str) -> None:
    assert parse_account_address(typed) is None
