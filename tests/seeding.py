"""A connected account without its handshake, for tests of what comes after."""

import time

from flask import Flask

from sandbox.simulator import Simulator
from service.grants import probes
from service.grants.granted import Grant, MintedToken, Person
from service.grants.grants import Grants
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.store.activity import Activity
from service.store.events import Author, Event
from service.store.lookers import Lookers
from service.store.store import Store
from service.zendesk.authorization_server import ACCESS_TOKEN_SECONDS, REFRESH_TOKEN_SECONDS, TokenPair
from tests.steps import collaborator


def seed(app: Flask, simulator: Simulator, account: str, user_id: int) -> Grant:
    """Leave what the handshake leaves: tokens at Zendesk; grant, minted tokens and activity in the store."""
    settings, grants = collaborator(app, Settings), collaborator(app, Grants)
    subdomain, scopes = Subdomain(account), settings.zendesk_scope.split()
    now = time.time()
    with simulator.world.lock:
        at_zendesk = simulator.world.account(account)
        admin = at_zendesk.users[user_id]
        client = at_zendesk.clients[settings.zendesk_client_id]
        token = at_zendesk.grant(
            client, user_id, scopes, expires_in=ACCESS_TOKEN_SECONDS, refresh_expires_in=REFRESH_TOKEN_SECONDS
        )
        integrations = () if settings.is_direct else settings.integrations_of(subdomain)
        minted = {
            name: at_zendesk.grant(
                at_zendesk.clients[f"zis_{name}"], user_id, scopes, expires_in=None, refresh_expires_in=None
            )
            for name in integrations
        }
    pair = TokenPair(
        access_token=token.access_token,
        refresh_token=token.refresh_token,
        obtained_at=now,
        expires_at=token.expires_at,
        refresh_token_expires_at=token.refresh_expires_at,
        scope=settings.zendesk_scope,
    )
    person = Person(user_id, admin.name)
    grant = Grant.of(pair, client_id=client.identifier, scope=settings.zendesk_scope, authorized_by=person)
    assert grants.replace(subdomain, grant, grants.holdings(subdomain))
    grants.note_connection()
    for name, one in minted.items():
        kept = MintedToken(one.access_token, one.id, now, one.expires_at)
        assert grants.save_minted(subdomain, grant.id, name, None, kept)
    for name in settings.integrations_of(subdomain):
        collaborator(app, Store).write(*probes.recording(subdomain, name, None))
    collaborator(app, Lookers).remember(subdomain, user_id)
    collaborator(app, Activity).note(subdomain, Author(person.id, person.name), Event("connected"))
    return grant
