"""Whatever the service sends to Redis at once, in a script or a command, lies in one slot of a Cluster."""

import hashlib
from typing import Any, ClassVar

import hiredis
import pytest
from redis import BlockingConnectionPool, Connection, Redis
from redis.crc import key_slot

from service.grants import grants
from service.job_specs import kept_lists
from service.job_specs.bundles import Bundles
from service.store import activity
from tests.conftest import MakeAdmin, MakeApp
from tests.operations.console import run
from tests.steps import ORDERS_ONLY, Admin, collaborator

SPEC = "escalate_vip_order"
SCRIPTS = (grants._UPDATE, grants._REPLACE, grants._FORGET, grants._SAVE_MINTED, activity._PUSH, kept_lists._STORE)
# What a connection is greeted with, and what has no key or belongs to one node.
KEYLESS = {b"HELLO", b"CLIENT", b"SELECT", b"PING", b"TIME", b"DBSIZE", b"SCAN", b"SCRIPT", b"INFO", b"CONFIG"}
SEVERAL_KEYS = {b"DEL", b"EXISTS", b"MGET"}


class Heard(Connection):
    """A connection to Redis that remembers what was sent over it."""

    commands: ClassVar[list[list[bytes]]] = []

    def send_packed_command(self, command: Any, *args: Any, **kwargs: Any) -> None:
        reader = hiredis.Reader()
        reader.feed(command if isinstance(command, bytes) else b"".join(command))
        while (heard := reader.gets()) is not False:
            self.commands.append(heard)
        super().send_packed_command(command, *args, **kwargs)  # type: ignore[no-untyped-call]  # redis-py leaves it so


def keys_of(command: list[bytes]) -> list[bytes]:
    """Return the keys of a command; of one that no test knows, the first argument."""
    name = command[0].upper()
    if name in KEYLESS:
        return []
    if name in {b"EVALSHA", b"EVAL"}:
        return command[3 : 3 + int(command[2])]
    return command[1:] if name in SEVERAL_KEYS else command[1:2]


@pytest.fixture
def heard(environment: dict[str, str], make_admin: MakeAdmin, make_app: MakeApp) -> Admin:
    """Acme's admin on a service whose commands are remembered."""
    Heard.commands.clear()
    pool = BlockingConnectionPool.from_url(environment["REDIS_URL"], connection_class=Heard)
    app = make_app(Redis(connection_pool=pool), **ORDERS_ONLY)
    collaborator(app, Bundles).is_asking = True
    return make_admin(app)


def test_every_script_and_command_stays_within_one_slot(heard: Admin) -> None:
    # What comes of each is other tests' matter; a busy machine may end one early.
    for account in ("acme", "globex"):
        heard.connect(account)
    heard.take_session("acme", 101)
    heard.list_fresh()
    heard.install(SPEC)
    heard.call("GET", "/activity")
    # The last runs every script, whatever Zendesk does.
    for name in ("accounts", "refresh-tokens", "rotate-keys", "doctor"):
        run(heard.app, name)
    heard.meets({"where": "registry", "kind": "http_401_text"})
    heard.list_fresh()
    heard.meets()
    run(heard.app, "disconnect", "acme")
    heard.settle()

    # Nothing is sent as a transaction.
    assert {command[0].upper() for command in Heard.commands} & {b"MULTI", b"EXEC", b"WATCH"} == set()
    scripts = {command[1] for command in Heard.commands if command[0].upper() == b"EVALSHA"}
    assert {hashlib.sha1(script.encode()).hexdigest().encode() for script in SCRIPTS} <= scripts  # noqa: S324 - Redis's own
    for command in Heard.commands:
        keys = keys_of(command)
        assert len({key_slot(key) for key in keys}) <= 1, (command[0], keys)
