"""The switches of one account: where practice or the documents leave a choice, each reading can be had."""

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Choice:
    """What a switch is for, and the values it takes, default first; no values: free (a number, or a text)."""

    meaning: str
    values: tuple[str | int, ...] = ()


CHOICES: dict[str, Choice] = {
    "token_lifetime": Choice(
        "lifetimes of granted tokens: 1800 s and 30 d (what was asked for, in bounds); lasting, without a refresh"
        " token; or the two `custom_…` numbers, whatever was asked",
        ("expiring", "never", "custom"),
    ),
    "custom_access_seconds": Choice("life of an access token where token_lifetime is `custom`"),
    "custom_refresh_seconds": Choice("life of a refresh token where token_lifetime is `custom`"),
    "expires_in": Choice(
        "is `expires_in` in token answers; `null`: it and whatever else may be missing is there, as null",
        ("if_asked", "always", "never", "null"),
    ),
    "token_form": Choice("access tokens are 64 characters, or as long as a JWT of 4 KB", ("opaque", "jwt")),
    "token_status": Choice("status of a successful token answer", (200, 201)),
    "unknown_scope": Choice("what happens to a scope nobody knows", ("dropped", "invalid_scope")),
    "granted_scope": Choice("scope granted instead of the requested one; empty: as requested"),
    "scope_in_answers": Choice("is `scope` in token answers", ("yes", "absent")),
    "refresh": Choice(
        "a refresh is answered; committed, then the connection is reset; committed, then answered late;"
        " answered without a new refresh token, the old one being spent; likewise, the old one staying good",
        ("normal", "answer_lost", "slow", "no_new_refresh_token", "same_refresh_token"),
    ),
    "slow_seconds": Choice("how late a slow refresh is answered"),
    "zis_redirects": Choice("our redirect URI in the list of `zis_*` clients", ("ours", "missing", "put_refused")),
    "mint": Choice(
        "POST /api/v2/oauth/tokens gives a lasting token; an expiring one that says so; an expiring one that"
        " says so only at tokens/current; 404",
        ("lasting", "expiring", "expiring_unsaid", "missing"),
    ),
    "mint_seconds": Choice("life of an expiring minted token"),
    "revoke": Choice(
        "DELETE of a token ends access and refresh token; the access token alone; is answered 204 without effect",
        ("pair", "access_only", "no_effect"),
    ),
    "zis_token_on_api_v2": Choice("what a `zis_*` token meets on /api/v2", ("ok", "401", "403", "404")),
    "zis_errors": Choice("ZIS errors as observed, or as documented", ("live", "envelope")),
    "install_body": Choice("body of a successful install", ("empty", "null", "object")),
    "repeat_install": Choice("status of installing what is installed", (200, 409)),
    "uninstall_absent": Choice("status of uninstalling what is not installed", (404, 204)),
    "cursor_order": Choice("`meta.after` names the page's last row, or its first", ("last_row", "swapped")),
    "cursor_form": Choice("what cursors look like", ("uuid", "name")),
    "stale_cursor": Choice("answer to an unknown cursor", ("first_page", "400")),
    "bad_page_size": Choice("answer to page[size] outside 1 to 100", ("clamp", "400")),
    "empty_list": Choice(
        "meta of an empty list with empty texts; with nulls; no meta; `job_specs: null`",
        ("empty_strings", "nulls", "no_meta", "null_list"),
    ),
    "paging": Choice(
        "pages end; the cursor stays the same; a row comes twice; they never end",
        ("normal", "repeat_cursor", "repeat_row", "endless_pages"),
    ),
    "upload": Choice("a bundle upload clears `installed`, or leaves it set on silent specs", ("reset", "silent")),
    "create_existing": Choice("status of registering an integration again", (409, 200)),
    "list_names": Choice("`name` and `flow_name` in lists", ("short", "fqn")),
    "rate_limit": Choice("ZIS answers 429", ("off", "retry_after", "no_retry_after")),
    "rate_limit_every": Choice("every which request meets the limit"),
    "transport": Choice(
        "what every ZIS call meets",
        ("ok", "http_500_zis", "http_502_html", "http_503_html", "http_403_html", "hang", "reset", "http_401_text"),
    ),
    "account_gone": Choice(
        "every path answers 404, No help desk: the account was renamed or closed; `no`: it is there", ("no", "yes")
    ),
    "sub_form": Choice("`sub` of signed requests", ("number", "string", "url")),
    "iss_form": Choice("`iss` of signed requests: bare host, or with scheme", ("host", "https")),
    "consent": Choice(
        "the consent page is shown; is Zendesk's error page, which never comes back; closes its window at once",
        ("shown", "refused", "closes"),
    ),
    "opener": Choice("the consent page keeps `window.opener`, or cuts it (COOP)", ("kept", "lost")),
    "users": Choice(
        "/api/v2/users answers whoever may; 403 to tokens whose scope is `users:read` alone; 403 to every token",
        ("readable", "not_by_small_scope", "not_readable"),
    ),
    "small_scope": Choice(
        "the token endpoint gives tokens of `users:read` alone, or refuses that with invalid_scope",
        ("granted", "invalid_scope"),
    ),
    "self_revocation": Choice("a token may revoke itself whatever its scope, or only with `write`", ("any", "write")),
    "second_authorization": Choice(
        "a second authorization by the same person and client leaves the first one's tokens alive; ends its access"
        " token; ends access and refresh token",
        ("keeps_first", "ends_access", "ends_first"),
    ),
    "storage": Choice(
        "the frame has this browser's storage; or one of its own, which is gone when it closes (a credentialless frame,"
        " which Chromium alone has; elsewhere the page says so)",
        ("open", "blocked"),
    ),
}


@dataclass(slots=True)
class Switches:
    """The current values; the defaults are the first ones of `CHOICES`."""

    token_lifetime: str = "expiring"
    custom_access_seconds: int = 1800
    custom_refresh_seconds: int = 2_592_000
    expires_in: str = "if_asked"
    token_form: str = "opaque"
    token_status: int = 200
    unknown_scope: str = "dropped"
    granted_scope: str = ""
    scope_in_answers: str = "yes"
    refresh: str = "normal"
    slow_seconds: float = 3.0
    zis_redirects: str = "ours"
    mint: str = "lasting"
    mint_seconds: int = 1800
    revoke: str = "pair"
    zis_token_on_api_v2: str = "ok"
    zis_errors: str = "live"
    install_body: str = "empty"
    repeat_install: int = 200
    uninstall_absent: int = 404
    cursor_order: str = "last_row"
    cursor_form: str = "uuid"
    stale_cursor: str = "first_page"
    bad_page_size: str = "clamp"
    empty_list: str = "empty_strings"
    paging: str = "normal"
    upload: str = "reset"
    create_existing: int = 409
    list_names: str = "short"
    rate_limit: str = "off"
    rate_limit_every: int = 1
    transport: str = "ok"
    account_gone: str = "no"
    sub_form: str = "number"
    iss_form: str = "host"
    consent: str = "shown"
    opener: str = "kept"
    users: str = "readable"
    small_scope: str = "granted"
    self_revocation: str = "any"
    second_authorization: str = "keeps_first"
    storage: str = "open"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def set(self, values: dict[str, Any]) -> None:
        """Set the named switches, or none of them.

        Raises:
            ValueError: a name or value that does not exist; the message names those that do.
        """
        for name, value in values.items():
            if name not in CHOICES:
                raise ValueError(f"no switch is called {name!r}; there are: {', '.join(CHOICES)}")
            choice = CHOICES[name]
            kind = type(getattr(self, name))
            if choice.values and value not in choice.values:
                raise ValueError(f"{name} takes one of {list(choice.values)}, not {value!r}")
            if not choice.values and not isinstance(value, (int, float) if kind is not str else str):
                raise ValueError(f"{name} takes a {kind.__name__}, not {value!r}")
        for name, value in values.items():
            setattr(self, name, value)


if {field.name for field in fields(Switches)} != set(CHOICES):
    raise AssertionError("every switch needs its line in CHOICES")
