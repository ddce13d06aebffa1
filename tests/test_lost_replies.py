"""What others do between a look and a write, or a write and its lost reply, costs no grant and leaves no token."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis import BlockingConnectionPool, Connection, Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from service.account.status import Connection as AccountConnection
from service.grants import grants as grant_scripts
from service.grants.access_tokens import AccessTokens
from service.grants.granted import Grant
from service.grants.grants import Grants
from service.grants.pending_pairs import PendingPairs
from service.ground.deadlines import Deadline
from service.ground.errors import StoreUnavailable
from service.ground.subdomains import Subdomain
from service.store.events import OPERATOR
from tests.conftest import MakeAdmin, MakeApp
from tests.steps import DIRECT, Admin, collaborator
from tests.stored_grants import expire, stored

ACME = Subdomain("acme")
CLIENT = "zis_acme_orders"
UNKNOWN_KEY = "a-key-that-no-other-process-has-0123456789"


@dataclass
class Moment:
    """Something that happens once, when one of our scripts is run for the `nth` time."""

    script: str
    nth: int = 1
    before: Callable[[], object] | None = None
    """Done before the script is sent."""
    after: Callable[[], object] | None = None
    """Done after its effect, in the place of its reply, which is lost."""
    count: int = 0
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.digest = hashlib.sha1(self.script.encode()).hexdigest().encode()  # noqa: S324 - Redis's own


class WatchedConnection(Connection):
    """A connection to Redis that has its moment."""

    moment: Moment | None = None
    is_now = False

    def send_packed_command(self, command: Any, *args: Any, **kwargs: Any) -> None:
        sent = command if isinstance(command, bytes) else b"".join(command)
        moment = type(self).moment
        if moment is not None and b"EVALSHA" in sent and moment.digest in sent:
            moment.count += 1
            self.is_now = moment.count == moment.nth
            if self.is_now and moment.before is not None:
                moment.before()
        super().send_packed_command(command, *args, **kwargs)  # type: ignore[no-untyped-call]  # redis-py leaves it so

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        reply = super().read_response(*args, **kwargs)
        moment = type(self).moment
        if self.is_now and moment is not None:
            self.is_now = False
            if moment.after is not None:
                self.disconnect()  # type: ignore[no-untyped-call]  # likewise
                moment.after()
                raise RedisConnectionError("the reply was lost")
        return reply


@pytest.fixture
def other(make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected on a process of their own."""
    person = make_admin(**DIRECT)
    person.connect("acme")
    return person


@pytest.fixture
def watched(other: Admin, make_app: MakeApp, environment: dict[str, str], redis: Redis) -> Iterator[Admin]:
    """The same admin on a process whose connection to Redis has a moment once one is set."""
    for script in (grant_scripts._UPDATE, grant_scripts._REPLACE, grant_scripts._FORGET):
        redis.script_load(script)
    retry = Retry(NoBackoff(), 0)
    pool = BlockingConnectionPool.from_url(environment["REDIS_URL"], connection_class=WatchedConnection, retry=retry)
    yield Admin(make_app(Redis(connection_pool=pool), **DIRECT), other.simulator)
    WatchedConnection.moment = None


def deadline() -> Deadline:
    return Deadline.after(25)


def live(admin: Admin) -> int:
    """Return how many access tokens work."""
    return admin.simulator.world.account("acme").live_tokens().get(CLIENT, 0)


def refresh(admin: Admin) -> Grant:
    return collaborator(admin.app, AccessTokens).refresh_now(ACME, stored(admin), deadline())


def works(admin: Admin) -> bool:
    """Return whether the account can be used, by the token that is stored."""
    return admin.list_fresh().status_code == 200


def test_a_pair_whose_reply_was_lost_survives_that_its_record_is_sealed_anew(other: Admin, watched: Admin) -> None:
    expire(other, client=CLIENT)
    # The first write notes that a refresh has begun, the second stores the pair.
    WatchedConnection.moment = Moment(
        grant_scripts._UPDATE, nth=2, after=lambda: collaborator(other.app, Grants).reseal(ACME)
    )
    tokens = collaborator(watched.app, AccessTokens)
    with pytest.raises(StoreUnavailable):
        tokens.get(ACME, deadline())
    tokens.pending_pairs.finish(20)
    assert not tokens.pending_pairs.holds(ACME)
    assert live(other) == 1
    assert works(other)


def test_what_a_grant_replaced_is_known_although_the_reply_was_lost(other: Admin, watched: Admin) -> None:
    location = watched.simulator.consent(watched.authorize(), 105)
    WatchedConnection.moment = Moment(grant_scripts._REPLACE, before=lambda: refresh(other), after=lambda: None)
    watched.come_back(location)
    assert live(other) == 1
    assert works(other)


def test_a_grant_that_was_refreshed_meanwhile_is_replaced_as_it_is_then(other: Admin, watched: Admin) -> None:
    location = watched.simulator.consent(watched.authorize(), 105)
    WatchedConnection.moment = Moment(grant_scripts._REPLACE, before=lambda: refresh(other))
    assert watched.come_back(location).status_code == 200
    assert WatchedConnection.moment.count == 2
    assert live(other) == 1
    by = stored(other).authorized_by
    assert by is not None
    assert by.id == 105


def test_what_a_grant_replaced_is_revoked_although_it_was_disconnected_before_anybody_knew(
    other: Admin, watched: Admin
) -> None:
    location = watched.simulator.consent(watched.authorize(), 105)
    WatchedConnection.moment = Moment(grant_scripts._REPLACE, after=other.disconnect)
    assert watched.come_back(location).status_code == 503
    assert live(other) == 0
    assert not collaborator(other.app, AccountConnection).is_connected(ACME)


def test_disconnecting_what_no_key_opens_forgets_no_new_grant(
    make_admin: MakeAdmin, other: Admin, watched: Admin
) -> None:
    stranger = make_admin(**DIRECT, SECRET_KEYS=UNKNOWN_KEY)
    stranger.connect("acme")
    # What the stranger's process replaced it could not open, so it is still alive.
    other.simulator.world.account("acme").revoke_grants()
    WatchedConnection.moment = Moment(grant_scripts._FORGET, before=lambda: other.connect("acme"))
    connection = collaborator(watched.app, AccountConnection)
    connection.disconnect(ACME, OPERATOR, deadline(), uninstall=False)
    assert not connection.is_connected(ACME)
    assert live(other) == 0


def test_all_that_one_account_has_in_hand_is_settled(pending_pairs: PendingPairs) -> None:
    settled: list[str] = []
    for name in ("a pair", "a grant"):
        pending_pairs.keep(ACME, lambda name=name: settled.append(name))  # type: ignore[misc]  # mypy sees no type for name
    pending_pairs.finish(20)
    assert sorted(settled) == ["a grant", "a pair"]
    assert not pending_pairs.holds(ACME)
