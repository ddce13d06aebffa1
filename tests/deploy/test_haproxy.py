"""docs/deploy.md's HAProxy in front of a master and its replica, as it stands there but for addresses."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.grants.granted import grant_key
from service.ground.subdomains import Subdomain
from tests.conftest import MakeAdmin
from tests.deploy.samples import sample
from tests.deploy.test_proxies import replaced
from tests.faults.own_valkey import OwnValkey
from tests.leftovers import end_with_us
from tests.steps import wait_until
from tests.workers import free_port

pytestmark = pytest.mark.processes

# Debian's is in a folder that only root has on PATH.
HAPROXY = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")


@pytest.fixture
def master_and_replica() -> Iterator[tuple[OwnValkey, OwnValkey]]:
    with ExitStack() as stack:
        master, replica = (stack.enter_context(OwnValkey()) for _ in range(2))
        replica.redis.replicaof("127.0.0.1", str(master.port))
        wait_until(lambda: replica.redis.info("replication")["master_link_status"] == "up")
        yield master, replica


@pytest.fixture
def proxied_url(master_and_replica: tuple[OwnValkey, OwnValkey], tmp_path: Path) -> Iterator[str]:
    if HAPROXY is None:
        pytest.skip("haproxy is not installed")
    port = free_port()
    changes = {
        "127.0.0.1:6380": f"127.0.0.1:{port}",
        "10.0.0.1:6379": f"127.0.0.1:{master_and_replica[0].port}",
        "10.0.0.2:6379": f"127.0.0.1:{master_and_replica[1].port}",
    }
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(replaced(sample("haproxy"), changes))
    process = subprocess.Popen([HAPROXY, "-db", "-f", str(configuration)], stderr=subprocess.DEVNULL)  # noqa: S603 - the page's own words
    end_with_us(process.pid)
    yield f"redis://127.0.0.1:{port}/0"
    process.kill()
    process.wait()


def test_a_replica_that_is_promoted_is_found_and_has_the_grant(
    master_and_replica: tuple[OwnValkey, OwnValkey], proxied_url: str, make_admin: MakeAdmin
) -> None:
    master, replica = master_and_replica
    admin = make_admin(REDIS_URL=proxied_url)
    wait_until(lambda: admin.browser.get("/readyz").status_code == 200)
    assert admin.connect("acme").status_code == 200
    key = grant_key(Subdomain("acme"))
    wait_until(lambda: replica.redis.dump(key) == master.redis.dump(key))
    master.crash()
    assert admin.list_fresh().status_code == 503
    replica.redis.replicaof("NO", "ONE")
    # By lists that may be young: of fresh ones a person gets 60 a minute, also while Redis is away.
    wait_until(lambda: admin.call("GET", "/job_specs").status_code == 200)
    assert admin.list_fresh().status_code == 200
    assert admin.status()["connection"]["state"] == "connected"
    assert admin.install("escalate_vip_order").get_json()["verified"] is True
