"""What the service is told: the environment of a sandbox that needs no configuration."""

import os
import secrets
import shlex
from collections.abc import Mapping

from sandbox.simulator import APP_ID, CLIENT_ID, CLIENT_SECRET, secret_of
from service.ground.settings import VARIABLES

DIRECT_CLIENT_ID = "zis_acme_orders"
# They would reach gunicorn past its configuration file.
_OF_GUNICORN = frozenset({"GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "PORT"})


def service_environment(
    *,
    service_url: str,
    store_url: str,
    url_template: str,
    front_end: str = "",
    is_direct: bool,
    changes: Mapping[str, str],
) -> dict[str, str]:
    """Return the environment of the service; nothing of the caller's that the service would read comes along.

    `front_end`: the origin of a page that signs people in; empty: none. `changes` are the person's own and win; an
    empty value unsets.
    """
    read = {variable.name for variable in VARIABLES} | _OF_GUNICORN
    environment = {name: value for name, value in os.environ.items() if name not in read}
    environment |= {
        "PUBLIC_URL": service_url,
        "REDIS_URL": store_url,
        "SECRET_KEYS": secrets.token_urlsafe(48),
        "ZENDESK_APPS": str(APP_ID),
        "ALLOWED_ORIGINS": front_end,
        "ZENDESK_URL_TEMPLATE": url_template,
        "RATE_LIMITS": "off",
        "LOG_FORMAT": "logfmt",
        "TRUSTED_PROXIES": "0",
        "PYTHONUNBUFFERED": "1",
    }
    if is_direct:
        environment |= {
            "ZENDESK_SUBDOMAINS": "acme",
            "ZENDESK_CLIENT_ID": DIRECT_CLIENT_ID,
            "ZENDESK_CLIENT_SECRET": secret_of(DIRECT_CLIENT_ID),
        }
    else:
        environment |= {
            "ZENDESK_SUBDOMAINS": "acme,globex,initech",
            "ZENDESK_CLIENT_ID": CLIENT_ID,
            "ZENDESK_CLIENT_SECRET": CLIENT_SECRET,
            "ZIS_INTEGRATIONS": "{subdomain}_orders,{subdomain}_shipping,{subdomain}_archive",
        }
    return {name: value for name, value in (environment | dict(changes)).items() if value}


def shell_script(environment: Mapping[str, str]) -> str:
    """Return what a shell reads so that its commands have the service's settings, and no others."""
    lines = []
    for variable in VARIABLES:
        value = environment.get(variable.name)
        name = variable.name
        lines.append(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")
    return "\n".join([*lines, ""])
