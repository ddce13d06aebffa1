"""What people and operators do, on any store."""

from service import create_app
from service.ground.settings import Settings
from service.store.store import Store
from tests.faults.live_admin import LiveAdmin
from tests.faults.store_kinds import IS_EVERY_KIND
from tests.operations.console import run
from tests.steps import collaborator, wait_until
from tests.stores.stage import ACME, SPEC, Stage
from tests.workers import at_once, patiently

# Of one expired token, at the same moment.
CALLERS = 300 if IS_EVERY_KIND else 40


def command(stage: Stage, *arguments: str) -> str:
    """Run a command as an operator does; return what it said."""
    app = create_app(Settings.from_env(stage.environment))
    try:
        answer = run(app, *arguments)
    finally:
        collaborator(app, Store).close()
    assert answer.status == 0, (arguments, answer.out, answer.err)
    return answer.out


def go_through(stage: Stage) -> None:
    """Connect, list, install, refresh by many at once, every command, disconnect."""
    admin = stage.connected()
    other = LiveAdmin(stage.service, stage.simulator, "globex", 201)
    stage.admins.append(other)
    other.connect()
    assert admin.list_fresh().status_code == 200
    assert admin.install(SPEC).json()["verified"] is True
    assert admin.call("DELETE", f"/job_specs/{SPEC}/install").json()["verified"] is True
    assert [one["action"] for one in admin.call("GET", "/activity").json()["activity"]][-1] == "connected"

    stage.simulator.world.clear_calls()
    assert stage.expire()
    replies = at_once(CALLERS, lambda _: patiently(admin.list_fresh))
    assert {reply.status_code for reply in replies} == {200}
    assert stage.refreshes() == 1

    assert set(command(stage, "accounts").split()) >= {"acme", "globex"}
    found = command(stage, "doctor")
    assert not [line for line in found.splitlines() if line.startswith("FAIL")], found
    command(stage, "refresh-tokens")
    assert "Sealed anew: 0." in command(stage, "rotate-keys")
    assert stage.grants.census().connected == 2
    command(stage, "disconnect", "globex")
    assert admin.disconnect().json() == {"revoked": True}
    wait_until(lambda: stage.grants.census().connected == 0)
    assert stage.grants.get(ACME) is None
