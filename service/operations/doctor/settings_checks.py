"""The environment: what is wrong with it, and what is allowed but odd."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from service.ground.settings import DEFAULT_ZENDESK_URL_TEMPLATE, VARIABLES, Settings, SettingsError
from service.operations.doctor.findings import Finding

# What other programs take from the environment, in capitals or not.
_OTHERS_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1"})


def faults_of(error: SettingsError) -> Iterator[Finding]:
    """Yield a failure for each fault; without settings there is nothing else to check."""
    meanings = {variable.name: variable.meaning for variable in VARIABLES}
    for fault in error.faults:
        name = fault.partition(" ")[0]
        yield Finding("FAIL", "settings", f"{fault}.", f"Meaning: {meanings[name]}.")


def workers_in(environ: Mapping[str, str]) -> int | None:
    """Return the number of gunicorn's processes here; None: it is no number, and gunicorn will not start."""
    text = environ.get("WEB_CONCURRENCY", "1").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else None


def check_settings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Judge settings that can be used."""
    yield Finding("ok", "settings", "Every variable can be used.")
    if workers_in(environ) is None:
        yield Finding(
            "FAIL", "settings", "WEB_CONCURRENCY is no whole number.", "gunicorn will not start: correct or unset it."
        )
    yield _address(settings, environ)
    yield _accounts(settings)
    yield _client(settings)
    yield _proxies(settings, environ)
    yield _rate_limits(settings)
    yield _apps(settings)
    yield _metrics(settings)
    yield _allowed_origins(settings)
    yield _outbound_proxy(settings, environ)


def _address(settings: Settings, environ: Mapping[str, str]) -> Finding:
    says = f"PUBLIC_URL is {settings.public_url}; the OAuth client's redirect URL is {settings.redirect_uri}."
    if settings.lacks_address:
        return Finding("warn", "address", says, "Set it to the address under which you open the front page.")
    if _is_loopback(settings) and "DYNO" in environ:
        return Finding("warn", "address", says, "Nobody but this machine reaches that: set it to the app's address.")
    if settings.zendesk_url_template != DEFAULT_ZENDESK_URL_TEMPLATE:
        return Finding("ok", "address", f"{says} Zendesk is simulated at {settings.zendesk_url_template}.")
    return Finding("ok", "address", says)


def _accounts(settings: Settings) -> Finding:
    check, allowed = "allowed accounts", settings.zendesk_subdomains
    if allowed is None:
        says = "ZENDESK_SUBDOMAINS is *: every Zendesk account may connect."
        advice = "Name the accounts: the client secret is shown at any address under zendesk.com that a caller names."
        return Finding("warn", check, says, advice)
    return Finding("ok", check, f"ZENDESK_SUBDOMAINS names {len(allowed)}.")


def _client(settings: Settings) -> Finding:
    check, client = "oauth client", settings.zendesk_client_id
    if settings.lacks_client:
        advice = "The front page says where it is made: then set ZENDESK_CLIENT_ID and ZENDESK_CLIENT_SECRET."
        return Finding("warn", check, "It is not set yet.", advice)
    if client.isascii() and client.isdecimal():
        advice = (
            "That looks like the client's number. Zendesk's consent page takes the identifier, a text, which stands by "
            "the client's name in Admin Center (Apps and integrations > APIs > OAuth clients)."
        )
        return Finding("warn", check, f"ZENDESK_CLIENT_ID is {client}, a number.", advice)
    mode = "direct: its token is the ZIS token" if settings.is_direct else "mint: a ZIS token is made by its grant"
    return Finding("ok", check, f"{client} ({mode}).")


def _proxies(settings: Settings, environ: Mapping[str, str]) -> Finding:
    count = settings.trusted_proxies
    says = f"TRUSTED_PROXIES is {count}."
    if "DYNO" in environ:
        if count == 1:
            return Finding("ok", "proxies", f"{says} That is the platform's router.")
        advice = "The platform's router is one; more only where another proxy stands before it."
        return Finding("warn", "proxies", says, advice)
    if settings.is_secure and count == 0:
        advice = (
            "This process does not speak https, so something in front of it does, and everybody seems to come from "
            "there: set it to the number of proxies."
        )
        return Finding("warn", "proxies", says, advice)
    if _is_loopback(settings) and not settings.is_secure and count > 0:
        advice = "Nothing stands before localhost, and callers could claim any address: set it to 0."
        return Finding("warn", "proxies", says, advice)
    return Finding("ok", "proxies", says)


def _rate_limits(settings: Settings) -> Finding:
    if settings.rate_limits:
        return Finding("ok", "rate limits", "They are on.")
    return Finding("warn", "rate limits", "RATE_LIMITS is off.", "Unset it outside of sandboxes and load tests.")


def _apps(settings: Settings) -> Finding:
    if settings.zendesk_apps is None:
        advice = (
            "/sidebar refuses everybody: upload the app (`flask --app service package-app`), then set ZENDESK_APPS to "
            "its id."
        )
        return Finding("warn", "zendesk app", "ZENDESK_APPS is not set.", advice)
    without = sorted(one for one in settings.zendesk_subdomains or () if settings.app_of(one) is None)
    if without:
        names = ", ".join(without)
        return Finding(
            "warn", "zendesk app", f"ZENDESK_APPS names no app for {names}.", "/sidebar refuses them: add them."
        )
    if settings.zendesk_app_public_key is not None:
        return Finding("ok", "zendesk app", "ZENDESK_APPS is set, and so is the app's public key.")
    return Finding("ok", "zendesk app", "ZENDESK_APPS is set; the app's public key is fetched from Zendesk.")


def _metrics(settings: Settings) -> Finding:
    if settings.metrics_token is None:
        return Finding("ok", "metrics", "METRICS_TOKEN is not set, so /metrics answers 404.")
    return Finding("ok", "metrics", "METRICS_TOKEN is set.")


def _allowed_origins(settings: Settings) -> Finding:
    check, origins = "other front ends", settings.allowed_origins
    if not origins:
        return Finding("ok", check, "ALLOWED_ORIGINS is not set: only this service's own pages may call the API.")
    says = f"ALLOWED_ORIGINS lets in {', '.join(sorted(origins))}."
    if settings.public_url in origins:
        return Finding("warn", check, says, f"{settings.public_url} is this service itself, which needs no entry.")
    plain = sorted(one for one in origins if one.startswith("http://"))
    if plain and settings.is_secure:
        advice = f"{', '.join(plain)} is this machine's own: whoever runs a page there may call the API. Remove it."
        return Finding("warn", check, says, advice)
    return Finding("ok", check, says)


def _outbound_proxy(settings: Settings, environ: Mapping[str, str]) -> Finding:
    check, proxy = "outbound proxy", settings.outbound_proxy
    if proxy is not None:
        return Finding("ok", check, f"Zendesk is called through {proxy.address}.")
    ignored = sorted(name for name, value in environ.items() if name.upper() in _OTHERS_PROXIES and value.strip())
    if ignored:
        says = (
            f"{', '.join(ignored)} {'is' if len(ignored) == 1 else 'are'} set, and ignored: Zendesk is called directly."
        )
        return Finding("warn", check, says, "If Zendesk is to be called through that proxy, set OUTBOUND_PROXY.")
    return Finding("ok", check, "Zendesk is called directly.")


def _is_loopback(settings: Settings) -> bool:
    return urlsplit(settings.public_url).hostname in _LOOPBACK
