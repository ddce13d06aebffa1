"""Every environment variable: meaning, unit, default. All faults are reported at once, by name."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import click

from service.ground.errors import AccountNotAllowed
from service.ground.outbound_proxy import OutboundProxy, parse_outbound_proxy
from service.ground.redis_address import RedisAddress, parse_redis_url
from service.ground.settings_parsing import (
    HOST,
    Faults,
    origin_of,
    parse_alert_webhook,
    parse_app_ids,
    parse_metrics_token,
    parse_origins,
    parse_printable,
    parse_public_key,
    parse_secret_keys,
    parse_user_ids,
    refuse,
)
from service.ground.subdomains import NO_ACCOUNTS, Subdomain, parse_subdomain

# What a deployment button fills in for what can only be known after the first start: the service runs, and its front
# page says what to set.
PLACEHOLDER = "set-me-later"
DEFAULT_ZENDESK_URL_TEMPLATE = "https://{subdomain}.zendesk.com"
# A fetched list is kept this long to be served stale; a longer "young" would make no sense.
LONGEST_LIST_CACHE_SECONDS = 600
# Zendesk: 1-64 of a-z, 0-9, - and _ (building-your-first-zis-integration, 2026-11).
LONGEST_INTEGRATION = 64


class SettingsError(click.ClickException):
    """The environment cannot be used; `message` lists every fault. A command prints it and exits with status 1."""

    exit_code = 1

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        lines = "\n".join(f"  - {fault}" for fault in faults)
        super().__init__(f"the environment does not describe a working service:\n{lines}")


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable as the table in docs/reference.md shows it; default None: there is none."""

    name: str
    required: str
    default: str | None
    meaning: str


VARIABLES = (
    Variable("PUBLIC_URL", "yes", None, "origin under which browsers reach this service, no path"),
    Variable(
        "REDIS_URL",
        "yes",
        None,
        "`redis://`, `rediss://`, `unix://`; `redis+sentinel://host:port/name` (Sentinels), `redis+cluster://host:port`",
    ),
    Variable("REDIS_TLS_VERIFY", "no", "true", "`false` accepts a self-signed certificate"),
    Variable("REDIS_TLS_CA", "no", None, "file with the CA that signed Redis's certificate"),
    Variable(
        "SECRET_KEYS", "yes", None, "comma-separated, newest first, each at least 32 characters that nobody can guess"
    ),
    Variable("ZENDESK_SUBDOMAINS", "yes", None, "comma-separated accounts that may connect, or `*`"),
    Variable(
        "ZENDESK_CLIENT_ID", "yes", None, "the OAuth client's identifier; one that starts with `zis_` is *direct*"
    ),
    Variable("ZENDESK_CLIENT_SECRET", "yes", None, "the OAuth client's secret"),
    Variable("ZENDESK_SCOPE", "no", "read write", "scope to request"),
    Variable("ZIS_INTEGRATIONS", "mint", None, "comma-separated integration names; `{subdomain}` is replaced"),
    Variable("ZENDESK_APPS", "no", None, "app id, or `subdomain:app_id` pairs, whose signed requests are accepted"),
    Variable("ZENDESK_APP_PUBLIC_KEY", "no", None, "PEM of the app's public key; else it is fetched"),
    Variable("MANAGER_ROLES", "no", "admin", "who may install and uninstall; `agent` adds full agents"),
    Variable(
        "MANAGER_USER_IDS",
        "no",
        None,
        "`subdomain:user_id` pairs that may where their role cannot be read; no suspended person or end user",
    ),
    Variable(
        "ZENDESK_URL_TEMPLATE", "no", DEFAULT_ZENDESK_URL_TEMPLATE, "an account's address; sandbox and tests only"
    ),
    Variable("LIST_CACHE_SECONDS", "no", "15", "how long a list is served without asking again; `0` keeps nothing"),
    Variable("TRUSTED_PROXIES", "no", "1", "reverse proxies in front; `0` for none"),
    Variable("RATE_LIMITS", "no", "on", "`off` switches our own limits off"),
    Variable("METRICS_TOKEN", "no", None, "bearer token for `/metrics`, at least 16 characters; unset, there is none"),
    Variable(
        "ALLOWED_ORIGINS",
        "no",
        None,
        "comma-separated origins of other front ends that may call `/api/v1` from a browser; exact, no path, no `*`",
    ),
    Variable(
        "ALERT_WEBHOOK_URL",
        "no",
        None,
        "https address that is told, once a day each, what a person has to mend; Slack's webhooks will do",
    ),
    Variable(
        "OUTBOUND_PROXY",
        "no",
        None,
        "`http://[user:password@]host:port` through which Zendesk is called; loopback directly",
    ),
    Variable(
        "ZENDESK_CA_FILE",
        "no",
        None,
        "PEM file of certification authorities trusted for Zendesk besides the usual ones",
    ),
    Variable("LOG_FORMAT", "no", "logfmt", "`logfmt` or `json`"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The environment, checked. Secrets do not show in its repr."""

    public_url: str
    """Origin, no trailing slash; the redirect URI is made from it alone."""
    redis_url: str = field(repr=False)
    redis_tls_verify: bool = True
    redis_tls_ca: Path | None = None
    secret_keys: tuple[str, ...] = field(repr=False)
    """Newest first: the first writes, each can read."""
    zendesk_subdomains: frozenset[Subdomain] | None
    """None: any account may connect."""
    zendesk_client_id: str
    zendesk_client_secret: str = field(repr=False)
    zendesk_scope: str = "read write"
    integration_names: tuple[str, ...]
    """With `{subdomain}` still in them; `integrations_of` fills it in."""
    zendesk_apps: Mapping[Subdomain, int] | int | None = None
    """One app id for all accounts, one per account, or None: no app is configured yet."""
    zendesk_app_public_key: str | None = field(default=None, repr=False)
    manager_roles: frozenset[str] = frozenset({"admin"})
    manager_user_ids: frozenset[tuple[Subdomain, int]] = frozenset()
    zendesk_url_template: str = DEFAULT_ZENDESK_URL_TEMPLATE
    list_cache_seconds: int = 15
    trusted_proxies: int = 1
    rate_limits: bool = True
    metrics_token: str | None = field(default=None, repr=False)
    allowed_origins: frozenset[str] = frozenset()
    """As browsers write them in `Origin`. Empty: pages of other origins cannot call the API."""
    alert_webhook_url: str | None = field(default=None, repr=False)
    """None: nobody is told."""
    outbound_proxy: OutboundProxy | None = None
    """None: Zendesk is called directly."""
    zendesk_ca_file: Path | None = None
    log_format: str = "logfmt"

    @property
    def redis_address(self) -> RedisAddress:
        """What `redis_url` says."""
        return parse_redis_url(self.redis_url)

    @property
    def redirect_uri(self) -> str:
        """The one redirect URI (RFC 9700, section 2.1); never taken from a request."""
        return f"{self.public_url}/oauth/callback"

    @property
    def lacks_address(self) -> bool:
        """Whether PUBLIC_URL is still what a deployment button filled in."""
        return PLACEHOLDER in self.public_url

    @property
    def lacks_client(self) -> bool:
        """Whether the OAuth client is still what a deployment button filled in."""
        return PLACEHOLDER in {self.zendesk_client_id, self.zendesk_client_secret}

    @property
    def is_direct(self) -> bool:
        """Whether the grant's own token is the ZIS token; otherwise one is minted for each integration."""
        return self.zendesk_client_id.startswith("zis_")

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach us by https."""
        return self.public_url.startswith("https://")

    def integrations_of(self, account: Subdomain) -> tuple[str, ...]:
        """Return the names of the account's integrations, sorted by code point."""
        return tuple(sorted({name.replace("{subdomain}", account) for name in self.integration_names}))

    def allows(self, account: Subdomain) -> bool:
        """Return whether the account is on the allow-list."""
        if self.zendesk_subdomains is None:
            return account not in NO_ACCOUNTS
        return account in self.zendesk_subdomains

    def require_allowed(self, account: Subdomain) -> None:
        """Let in an account on the allow-list.

        Raises:
            AccountNotAllowed: it is not.
        """
        if self.zendesk_subdomains is None and account in NO_ACCOUNTS:
            raise AccountNotAllowed(
                f"{account}.zendesk.com is one of Zendesk's own addresses and no account. Write the name that stands "
                "before .zendesk.com where your agents sign in."
            )
        if not self.allows(account):
            raise AccountNotAllowed(
                f"The Zendesk account {account} is not enabled here. The operator of this service can add it to "
                "ZENDESK_SUBDOMAINS."
            )

    def app_of(self, account: Subdomain) -> int | None:
        """Return the id of the account's Zendesk app; None: none is configured."""
        apps = self.zendesk_apps
        return apps if apps is None or isinstance(apps, int) else apps.get(account)

    def account_origin(self, account: str) -> str:
        """Return scheme, host and port under which the account's pages live; the only origin that may frame us."""
        return origin_of(self.zendesk_url_template.replace("{subdomain}", account))

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Return the settings in `environ`; a variable set to nothing counts as unset.

        Raises:
            SettingsError: naming every fault; values of secrets are never repeated.
        """
        faults = Faults(environ, {variable.name: variable.default for variable in VARIABLES})
        public_url = faults.parse("PUBLIC_URL", parse_public_url)
        tls_ca = faults.parse("REDIS_TLS_CA", _existing_file)
        client_id = faults.parse("ZENDESK_CLIENT_ID", parse_printable)
        subdomains = faults.parse("ZENDESK_SUBDOMAINS", _subdomains)
        values = {
            "public_url": public_url,
            "redis_url": faults.parse("REDIS_URL", _redis_url),
            "redis_tls_verify": faults.flag("REDIS_TLS_VERIFY"),
            "redis_tls_ca": tls_ca,
            "secret_keys": faults.parse("SECRET_KEYS", parse_secret_keys),
            "zendesk_subdomains": None if subdomains == "*" else subdomains,
            "zendesk_client_id": client_id,
            "zendesk_client_secret": faults.parse("ZENDESK_CLIENT_SECRET", parse_printable),
            "zendesk_scope": faults.parse("ZENDESK_SCOPE", _scope),
            "integration_names": _integrations(faults, client_id, subdomains),
            "zendesk_apps": faults.parse("ZENDESK_APPS", parse_app_ids),
            "zendesk_app_public_key": faults.parse("ZENDESK_APP_PUBLIC_KEY", parse_public_key),
            "manager_roles": faults.parse("MANAGER_ROLES", _manager_roles),
            "manager_user_ids": faults.parse("MANAGER_USER_IDS", parse_user_ids) or frozenset(),
            "zendesk_url_template": faults.parse("ZENDESK_URL_TEMPLATE", lambda text: _url_template(text, public_url)),
            "list_cache_seconds": faults.number("LIST_CACHE_SECONDS", 0, LONGEST_LIST_CACHE_SECONDS),
            "trusted_proxies": faults.number("TRUSTED_PROXIES", 0, 10),
            "rate_limits": faults.flag("RATE_LIMITS"),
            "metrics_token": faults.parse("METRICS_TOKEN", parse_metrics_token),
            "allowed_origins": faults.parse("ALLOWED_ORIGINS", parse_origins) or frozenset(),
            "alert_webhook_url": faults.parse("ALERT_WEBHOOK_URL", parse_alert_webhook),
            "outbound_proxy": faults.parse("OUTBOUND_PROXY", parse_outbound_proxy),
            "zendesk_ca_file": faults.parse("ZENDESK_CA_FILE", _authorities),
            "log_format": faults.choice("LOG_FORMAT", ("logfmt", "json")),
        }
        for variable in VARIABLES:
            if variable.required == "yes":
                faults.require(variable.name)
        if faults.found:
            raise SettingsError(faults.found)
        return cls(**values)  # type: ignore[arg-type]  # every value was parsed above by its own parser


def parse_public_url(text: str) -> str:
    """Return the origin under which browsers reach the service, lower-case, without a slash at its end.

    Raises:
        ValueError: it is none, says why.
    """
    parts = urlsplit(text.rstrip("/"))
    local = parts.hostname in {"localhost", "127.0.0.1"}
    if parts.scheme not in ({"https", "http"} if local else {"https"}) or not parts.hostname:
        raise ValueError("must be an https:// origin (http:// only for localhost and 127.0.0.1)")
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc or "?" in text or "#" in text:
        raise ValueError("must be an origin alone: scheme, host and port, no path")
    if not HOST.fullmatch(parts.hostname):
        raise ValueError("has characters in its host that are not allowed there")
    return origin_of(text)


def _redis_url(text: str) -> str:
    parse_redis_url(text)
    return text


def _authorities(text: str) -> Path:
    path = _existing_file(text)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:
        raise ValueError("cannot be read, or holds no certificate in PEM") from None
    return path


def _existing_file(text: str) -> Path:
    if not Path(text).is_file():
        raise ValueError("names no file")
    return Path(text)


def _subdomains(text: str) -> frozenset[Subdomain] | str:
    if text.strip() == "*":
        return "*"
    names = [name.strip() for name in text.split(",")]
    wrong = [name for name in names if parse_subdomain(name) is None]
    refuse([f"{name!r} is no subdomain: write `acme` for acme.zendesk.com" for name in wrong])
    return frozenset(Subdomain(name.lower()) for name in names)


def _scope(text: str) -> str:
    scopes = text.split()
    wrong = [one for one in scopes if not (one.isascii() and one.isprintable()) or set(one) & set('"\\')]
    refuse([f"{scope!r} is no scope's name: write them separated by spaces" for scope in wrong])
    return " ".join(scopes)


def _manager_roles(text: str) -> frozenset[str]:
    roles = {role.strip() for role in text.split(",")}
    wrong = sorted(roles - {"admin", "agent"})
    refuse([f"may name `admin` and `agent`, comma-separated, and not {role!r}" for role in wrong])
    return frozenset(roles | {"admin"})


def _integration_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    wrong = [name for name in names if not _is_integration_name(name.replace("{subdomain}", "a"))]
    refuse([f"{name!r} is no integration name: 1 to 64 of a-z, 0-9, - and _" for name in wrong])
    return names


def _integrations(faults: Faults, client_id: str | None, subdomains: frozenset[Subdomain] | str | None) -> object:
    names = faults.parse("ZIS_INTEGRATIONS", _integration_names)
    accounts = subdomains if isinstance(subdomains, frozenset) else frozenset[Subdomain]()
    for name in names or ():
        longest = max((len(name.replace("{subdomain}", account)) for account in accounts), default=0)
        if longest > LONGEST_INTEGRATION:
            faults.add("ZIS_INTEGRATIONS", f"{name!r} becomes longer than {LONGEST_INTEGRATION} characters")
    # The text, so that a missing or faulty identifier hides no fault of the names.
    client = faults.text("ZENDESK_CLIENT_ID") or ""
    if not client.startswith("zis_"):
        if faults.text("ZIS_INTEGRATIONS") is None:
            unless = "" if client else " (only a ZENDESK_CLIENT_ID that starts with `zis_` names its own)"
            faults.add("ZIS_INTEGRATIONS", f"is not set{unless}")
        return names
    own = client.removeprefix("zis_")
    if not _is_integration_name(own):
        if client_id is not None:
            fault = f"{client!r} names no integration behind `zis_`: 1 to 64 of a-z, 0-9, - and _"
            faults.add("ZENDESK_CLIENT_ID", fault)
        return names
    for name in names or ():
        if subdomains is None and "{subdomain}" in name:
            # Which accounts there are is a fault of its own.
            continue
        if name != own and own not in {name.replace("{subdomain}", account) for account in accounts}:
            fault = f"must be {own!r} or unset, and not {name!r}: the client {client!r} serves that one integration"
            faults.add("ZIS_INTEGRATIONS", fault)
    return (own,)


def _is_integration_name(name: str) -> bool:
    return 1 <= len(name) <= LONGEST_INTEGRATION and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")


def _url_template(text: str, public_url: str | None) -> str:
    if text == DEFAULT_ZENDESK_URL_TEMPLATE:
        return text
    parts = urlsplit(text)
    if text.count("{subdomain}") != 1 or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
        raise ValueError("must be an http(s) address with {subdomain} in it once")
    loopback = {"localhost", "127.0.0.1", "::1"}
    # Without a PUBLIC_URL that can be read there is a fault already.
    if parts.hostname not in loopback or (public_url and urlsplit(public_url).hostname not in loopback):
        raise ValueError("is for the sandbox and tests: its host and PUBLIC_URL's host must both be loopback")
    # Raises for a port that is none, instead of failing at the first page.
    origin_of(text)
    return text.rstrip("/")
