"""The grant that is stored of an account, as time, Zendesk or another process may have left it."""

import time
from typing import Any

from sandbox.simulator import CLIENT_ID, Simulator
from service.grants.granted import Grant
from service.grants.grants import Grants
from service.ground.subdomains import Subdomain
from tests.steps import Admin, collaborator

ACME = Subdomain("acme")


def stored(admin: Admin, account: Subdomain = ACME) -> Grant:
    return stored_in(collaborator(admin.app, Grants), account)


def change_grant(admin: Admin, account: Subdomain = ACME, **fields: Any) -> Grant:
    """Store the account's grant with other fields; return that."""
    return change_in(collaborator(admin.app, Grants), account, **fields)


def expire(admin: Admin, account: Subdomain = ACME, client: str = CLIENT_ID) -> None:
    """End the access token at Zendesk and in the record, as if half an hour had passed for both."""
    expire_in(collaborator(admin.app, Grants), admin.simulator, account, client)


# --- where there is no admin at hand: a service in other processes, whose store is read from outside ---


def stored_in(grants: Grants, account: Subdomain = ACME) -> Grant:
    grant = grants.get(account)
    assert grant is not None
    return grant


def change_in(grants: Grants, account: Subdomain = ACME, **fields: Any) -> Grant:
    grant = stored_in(grants, account)
    changed = grant.changed(**fields)
    assert grants.update(account, grant, changed)
    return changed


def expire_in(grants: Grants, simulator: Simulator, account: Subdomain = ACME, client: str | None = CLIENT_ID) -> Grant:
    """End the access token as `expire` does, return what is stored then; `client` None: at Zendesk those of all."""
    with simulator.world.lock:
        simulator.world.account(account).expire_access_tokens(client)
    now = time.time()
    return change_in(grants, account, obtained_at=now - 1900, expires_at=now - 100)
