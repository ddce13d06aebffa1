"""One account: its grant, the admin behind it, its integrations, its app's public key."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from service.account.status import described
from service.grants import probes, signs
from service.grants.clients import Clients
from service.grants.conditions import REASONS, Conditions
from service.grants.granted import Grant
from service.grants.minting import IntegrationNotRegistered, client_number
from service.ground.deadlines import Deadline
from service.ground.errors import AuthorizationRequired, ServiceError, StoreUnavailable
from service.ground.settings import Settings
from service.ground.subdomains import Subdomain
from service.operations.connected_accounts import ConnectedAccount
from service.operations.doctor.findings import Finding, warning_of
from service.people.app_keys import AppKeys
from service.people.key_fetches import FETCHES_AT_ONCE
from service.store.store import Store
from service.zendesk.users import NOT_READABLE, ZendeskUser, ask_me

# The service refreshes at half of the life by itself; with less than this left it has not for a long time.
LEAST_SHARE_LEFT = 0.25


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An account that is connected or may connect; `stored` None: it is not connected."""

    account: Subdomain
    stored: ConnectedAccount | None


class AccountChecks:
    """Asks Zendesk with the account's own tokens, had as everybody has them, so that no grant is harmed."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        conditions: Conditions,
        clients: Clients,
        app_keys: AppKeys,
    ) -> None:
        self._settings = settings
        self._store = store
        self._conditions = conditions
        self._clients = clients
        self._app_keys = app_keys
        self._fetches = threading.BoundedSemaphore(FETCHES_AT_ONCE)

    def check(self, known: KnownAccount, deadline: Deadline) -> Iterator[Finding]:
        """Judge an account; whatever fails is a warning."""
        account, stored = known.account, known.stored
        if stored is not None:
            yield self._connection(stored)
            grant = stored.grant
            # An admin who lost the role may have it again.
            is_usable = stored.is_allowed and stored.state.reason in {None, "scope_changed", *signs.SIGNS}
            if grant is not None and is_usable:
                yield self._refresh_token(account, stored, grant)
                yield self._scope(account, grant)
                yield self._admin(account, grant, deadline)
                for integration in self._settings.integrations_of(account):
                    yield from self._integration(account, integration, deadline)
        app_id = self._settings.app_of(account)
        if app_id is not None and self._settings.zendesk_app_public_key is None and self._settings.allows(account):
            yield self._app_key(account, app_id, deadline)

    def _connection(self, stored: ConnectedAccount) -> Finding:
        account, check = stored.account, "connection"
        if not stored.is_allowed:
            advice = f"Add it, or run `flask --app service disconnect {account}`."
            return Finding("warn", check, "It is connected, but not in ZENDESK_SUBDOMAINS.", advice, account)
        if stored.state.name != "connected":
            says = REASONS[stored.state.reason or ""]
            is_gone = stored.state.reason == signs.ACCOUNT_GONE
            advice = _move(account) if is_gone else self._connect_again(account)
            return Finding("warn", check, says, advice, account)
        shown = described(stored.grant)
        by = shown["authorized_by"]
        who = f" by {by['name'] or by['id']}" if by else ""
        return Finding("ok", check, f"It was connected{who} on {shown['authorized_at'][:10]}.", account=account)

    def _refresh_token(self, account: Subdomain, stored: ConnectedAccount, grant: Grant) -> Finding:
        check, now = "refresh token", time.time()
        end, days = grant.refresh_token_expires_at, stored.days_left(now)
        if grant.refresh_token is None:
            return Finding(
                "ok", check, "There is none: the access token is used until Zendesk refuses it.", None, account
            )
        if end is None:
            return Finding("ok", check, "Zendesk has announced no end of it.", None, account)
        says = f"{days} days are left."
        if end - now < LEAST_SHARE_LEFT * (end - grant.obtained_at):
            advice = (
                "The running service should have renewed it long ago: look at its log for `upkeep`, and run `flask "
                "--app service refresh-tokens`."
            )
            return Finding("warn", check, says, advice, account)
        return Finding("ok", check, says, None, account)

    def _scope(self, account: Subdomain, grant: Grant) -> Finding:
        if self._conditions.lacks_scope(grant):
            says = f"'{grant.scope}' was granted, and ZENDESK_SCOPE is '{self._settings.zendesk_scope}' now."
            return Finding("warn", "scope", says, self._connect_again(account), account)
        return Finding("ok", "scope", f"'{grant.scope}' was granted.", None, account)

    def _admin(self, account: Subdomain, grant: Grant, deadline: Deadline) -> Finding:
        check = "admin"
        try:
            reply = ask_me(self._clients.outside_registry(account, deadline))
            if reply.status in NOT_READABLE:
                words = f"Zendesk does not let the token read who authorized ({reply.status}: {reply.words()})."
                if grant.authorized_by is None:
                    says = f"{words} The registry, which lets only admins in, vouches for them."
                    return Finding("ok", check, says, None, account)
                return Finding("warn", check, words, self._connect_again(account), account)
            user = ZendeskUser.from_reply(reply)
        except ServiceError as failure:
            return warning_of(check, failure, account)
        name = user.name or (grant.authorized_by.name if grant.authorized_by else None) or "Whoever authorized"
        if user.account is not None and user.account != account:
            says = f"Zendesk says that the token belongs to {user.account}: the account may have been renamed."
            return Finding("warn", check, says, "Connect it under its new name.", account)
        if user.role == "admin" and user.is_active:
            return Finding("ok", check, f"{name} is an admin.", None, account)
        says = f"{name}, who authorized, is {user.kind()} now, and Zendesk's registry lets only admins in."
        return Finding("warn", check, says, self._connect_again(account), account)

    def _integration(self, account: Subdomain, integration: str, deadline: Deadline) -> Iterator[Finding]:
        """Look for the integration's OAuth client, where its token is minted, and ask for one page of its list."""
        if not self._settings.is_direct:
            check = f"client zis_{integration}"
            try:
                client_number(self._clients.of_grant(account, deadline), integration)
            except ServiceError as failure:
                yield warning_of(check, failure, account)
                if isinstance(failure, IntegrationNotRegistered):
                    return
            else:
                yield Finding("ok", check, "Zendesk has it.", None, account)
        check = f"integration {integration}"
        had_seconds = deadline.left()
        stands_against = probes.ask(self._clients.of_integration(account, integration, deadline), integration)
        is_hurry = stands_against is not None and probes.is_hurry(stands_against, deadline, had_seconds)
        if not is_hurry and not isinstance(stands_against, (AuthorizationRequired, StoreUnavailable)):
            with suppress(StoreUnavailable):
                self._store.write(*probes.recording(account, integration, stands_against))
        if stands_against is None:
            yield Finding("ok", check, "Zendesk lists its job specs.", None, account)
        else:
            yield warning_of(check, stands_against, account)

    def _app_key(self, account: Subdomain, app_id: int, deadline: Deadline) -> Finding:
        check = "app key"
        # More at once would wait for a place for calls until their 3 s are over.
        if not self._fetches.acquire(timeout=max(0.0, deadline.left())):
            return Finding("warn", check, "There was no time to fetch it.", "Run doctor again.", account)
        try:
            self._app_keys.get(account, app_id, deadline)
        except ServiceError as failure:
            return warning_of(check, failure, account)
        finally:
            self._fetches.release()
        return Finding("ok", check, f"The public key of the app {app_id} is at hand.", None, account)

    def _connect_again(self, account: Subdomain) -> str:
        return f"An admin connects it again at {self._conditions.authorize_url(account)}."


def _move(account: Subdomain) -> str:
    """Return what to do where nobody is at this address any more."""
    return (
        "If it was renamed: add its new name to ZENDESK_SUBDOMAINS, connect it under that name, and run "
        f"`flask --app service disconnect {account} --force`."
    )
