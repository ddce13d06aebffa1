"""Classic mistakes, to be put into the real code one at a time: what the model must be able to find.

Each is what somebody in a hurry, or tidying up, might do.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from redis.lock import Lock

from service.grants import grants
from service.grants.access_tokens import AccessTokens, GrantToken
from service.grants.cool_down import CoolDown, _step_key, refused_again
from service.grants.granted import Grant, Holdings
from service.grants.grants import Grants
from service.grants.leases import Leases
from service.grants.pending_pairs import PendingPairs
from service.grants.refreshing import Refreshing
from service.grants.revocation import Revocation
from service.grants.zis_tokens import IntegrationToken
from service.ground.errors import ServiceError
from service.ground.subdomains import Subdomain
from service.zendesk.authorization_server import AuthorizationServer, TokenPair
from service.zendesk.calls import Request
from service.zendesk.client import AccountClient
from service.zendesk.replies import Reply

Mistake = Callable[[], Iterator[None]]


@contextmanager
def no_lease() -> Iterator[None]:
    """Refresh without a lock in Redis: one process was enough when this was tried."""

    @contextmanager
    def lease(*_: Any, **__: Any) -> Iterator[bool]:
        yield True

    with patch.object(Leases, "lease", lease):
        yield


@contextmanager
def lease_of_somebody_else_given_back() -> Iterator[None]:
    """Delete the lock when done, whoever holds it by then."""
    with (
        patch.object(Lock, "LUA_RELEASE_SCRIPT", "redis.call('DEL', KEYS[1]) return 1"),
        patch.object(Lock, "lua_release", None),
    ):
        yield


@contextmanager
def no_look_inside_the_lock() -> Iterator[None]:
    """Refresh with what was read before the lock was had."""
    real = Refreshing.refresh

    def refresh(self: Refreshing, account: Subdomain, spent: Grant, *others: Any) -> Grant | None:
        # Nothing is compared where nothing is read again.
        with (
            patch.object(self._conditions, "usable", lambda _: spent),
            patch.object(self._grants, "update", _overwrite(self._grants)),
        ):
            return real(self, account, spent, *others)

    with patch.object(Refreshing, "refresh", refresh):
        yield


@contextmanager
def plain_set() -> Iterator[None]:
    """Write the record without comparing."""
    with patch.object(grants, "_UPDATE", _without_comparison(grants._UPDATE)):
        yield


@contextmanager
def forgotten_whatever_was_written() -> Iterator[None]:
    """Delete the account once its tokens are revoked, without looking again."""
    with patch.object(grants, "_FORGET", _without_comparison(grants._FORGET)):
        yield


@contextmanager
def used_before_it_is_stored() -> Iterator[None]:
    """Hand the new pair out at once, and store it when there is time."""

    def store_pair(_self: Refreshing, _account: Subdomain, noted: Grant, pair: TokenPair) -> Grant:
        return noted.with_pair(pair)

    with patch.object(Refreshing, "_store_pair", store_pair):
        yield


@contextmanager
def invalid_grant_believed_at_once() -> Iterator[None]:
    """Call the grant dead without reading again."""

    def settle(self: Refreshing, account: Subdomain, noted: Grant, *_: Any, **__: Any) -> Grant:
        _overwrite(self._grants)(account, noted, noted.changed(dead="refresh_outcome_unknown"))
        raise self._conditions.required(account, "refresh_outcome_unknown")

    with patch.object(Refreshing, "_settle_invalid_grant", settle):
        yield


@contextmanager
def no_note_before_asking() -> Iterator[None]:
    """Ask without having written that a refresh has begun."""
    real = Grant.changed

    def changed(self: Grant, **fields: Any) -> Grant:
        fields.pop("refresh_begun_at", None)
        return real(self, **fields)

    with patch.object(Grant, "changed", changed):
        yield


@contextmanager
def reconnection_overwritten() -> Iterator[None]:
    """Store the new pair on top of whatever is there."""

    def settle(self: Refreshing, account: Subdomain, noted: Grant, written: Grant) -> Grant:
        _overwrite(self._grants)(account, noted, written)
        return written

    with patch.object(Refreshing, "_settle_pair", settle):
        yield


@contextmanager
def asked_again_after_a_lost_reply() -> Iterator[None]:
    """Repeat the token request once if it fails, as one does with others."""
    real = AuthorizationServer.refresh

    def refresh(self: AuthorizationServer, *arguments: Any) -> TokenPair:
        try:
            return real(self, *arguments)
        except ServiceError:
            return real(self, *arguments)

    with patch.object(AuthorizationServer, "refresh", refresh):
        yield


@contextmanager
def no_wait_after_a_failure() -> Iterator[None]:
    """Let the next caller ask at once."""
    with patch.object(CoolDown, "current", lambda *_: None):
        yield


@contextmanager
def pair_given_up_when_the_store_fails() -> Iterator[None]:
    """Tell the caller, and drop the pair."""
    real = Refreshing._settle_pair

    def store_pair(self: Refreshing, account: Subdomain, noted: Grant, pair: TokenPair) -> Grant:
        return real(self, account, noted, noted.with_pair(pair))

    with patch.object(Refreshing, "_store_pair", store_pair):
        yield


@contextmanager
def replaced_without_looking() -> Iterator[None]:
    """Put a new authorization in the place of whatever is there, and revoke what was read before."""
    with patch.object(grants, "_REPLACE", _without_comparison(grants._REPLACE)):
        yield


@contextmanager
def replaced_grant_left_alive() -> Iterator[None]:
    """Overwrite the old authorization, and leave its tokens to expire."""
    with patch.object(AccessTokens, "drop_replaced", lambda *_: None):
        yield


@contextmanager
def late_pair_left_alive() -> Iterator[None]:
    """Find the account disconnected, and drop the pair that has just come."""
    real = Refreshing._settle_pair

    def settle(self: Refreshing, *arguments: Any) -> Grant:
        with patch.object(Revocation, "drop_later", lambda *_: None):
            return real(self, *arguments)

    with patch.object(Refreshing, "_settle_pair", settle):
        yield


@contextmanager
def late_minted_token_left_alive() -> Iterator[None]:
    """Find the account disconnected, and drop the minted token that has just come."""
    with patch.object(IntegrationToken, "_drop", lambda *_: None):
        yield


@contextmanager
def second_refusal_begins_no_wait() -> Iterator[None]:
    """Tell the caller that the new token is refused as well, and let the next one replace that."""
    with patch.object(CoolDown, "count_refusal", lambda *_: refused_again()):
        yield


@contextmanager
def refresh_by_refusal_resets_its_steps() -> Iterator[None]:
    """Count from the beginning after every token that Zendesk gives."""
    real = CoolDown.begin_trial

    def begin_trial(self: CoolDown, account: Subdomain, token: str, integration: str | None = None) -> None:
        self._store.write(("DEL", _step_key(account, integration)))
        real(self, account, token, integration)

    with patch.object(CoolDown, "begin_trial", begin_trial):
        yield


@contextmanager
def refused_token_replaced_twice() -> Iterator[None]:
    """Replace the token until Zendesk takes one."""

    def send(self: AccountClient, request: Request) -> Reply:
        credential = self.credential
        assert isinstance(credential, GrantToken)
        grant = credential._tokens.get(self.account, self.deadline)
        while True:
            reply = self.calls.send(self.account, request, token=grant.access_token, deadline=self.deadline)
            if not reply.refuses_token:
                return reply
            grant = credential._tokens.refresh_now(self.account, grant, self.deadline)

    with patch.object(AccountClient, "_send", send):
        yield


@contextmanager
def note_not_written() -> Iterator[None]:
    """Ask for a new pair without having told the store that a refresh has begun."""
    real = Grants.update

    def update(self: Grants, account: Subdomain, read: Grant, written: Grant) -> bool:
        is_note = written.refresh_begun_at is not None and written.dead is None
        return is_note or real(self, account, read, written)

    with patch.object(Grants, "update", update):
        yield


@contextmanager
def refreshed_with_a_pair_in_hand() -> Iterator[None]:
    """Ask with a refresh token although this process holds its successor."""
    with patch.object(PendingPairs, "holds", lambda *_: False):
        yield


@contextmanager
def minted_tokens_not_counted() -> Iterator[None]:
    """Put a new authorization in the place of the grant that was read, whatever was minted since."""
    with patch.object(grants, "_REPLACE", grants._REPLACE.replace("or (now[2] or '0') ~= ARGV[2] ", "")):
        yield


def _without_comparison(script: str) -> str:
    """Return a script without the lines that return 0 where somebody wrote since."""
    return "\n".join(line for line in script.splitlines() if "return 0" not in line)


def _overwrite(store: Grants) -> Callable[[Subdomain, Grant, Grant], bool]:
    def overwrite(account: Subdomain, _read: Grant, written: Grant) -> bool:
        generation = store.clear_fields(account)[1]
        if generation is None:
            nothing = Holdings(id=None, generation="", mints=0, grant=None, minted=())
            return store.replace(account, written, nothing)
        return store.update_generation(account, generation, written)

    return overwrite
