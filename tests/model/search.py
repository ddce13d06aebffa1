"""One search: who acts, from where, within which bounds."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import structlog
import time_machine

from service.ground.settings import Settings
from tests.model.bench import Beginning, Bench
from tests.model.explorer import Bounds, Explored, Explorer
from tests.model.scheduler import Schedule
from tests.model.steps import Decide
from tests.model.thread_edges import under_control
from tests.model.world import World

Cast = tuple[tuple[str, str], ...]
"""(role, process) of each thread."""

ENVIRONMENT = {
    "PUBLIC_URL": "https://zis.example.com",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEYS": "newest-key-of-the-model-0123456789abcde,older-key-of-the-model-0123456789abcdef",
    "ZENDESK_SUBDOMAINS": "acme",
    "ZENDESK_CLIENT_ID": "zis_acme_orders",
    "ZENDESK_CLIENT_SECRET": "secret-of-the-client",
}
SETTINGS = {
    "direct": Settings.from_env(ENVIRONMENT),
    "mint": Settings.from_env(ENVIRONMENT | {"ZENDESK_CLIENT_ID": "job_specs", "ZIS_INTEGRATIONS": "acme_orders"}),
    "lost": Settings.from_env(ENVIRONMENT | {"SECRET_KEYS": "lost-key-of-the-model-0123456789abcdefgh"}),
}


class Search(Protocol):
    """Search schedules of a cast; `first`: the choices of the one to begin with."""

    def __call__(self, beginning: Beginning, cast: Cast, bounds: Bounds, first: Sequence[int] = ()) -> Explored: ...


@contextmanager
def searching(redis_url: str) -> Iterator[Search]:
    """Yield a search on a store of its own, which is emptied; meanwhile only schedules let time pass.

    Made anew where the service's scripts are changed.
    """
    began = float(int(time.time()))
    schedules: list[Schedule] = []
    config = structlog.get_config()
    with time_machine.travel(began, tick=False) as clock:
        bench = Bench(redis_url, SETTINGS, clock)

        def search(beginning: Beginning, cast: Cast, bounds: Bounds, first: Sequence[int] = ()) -> Explored:
            def run(decide: Decide) -> Schedule:
                world = World(bench, beginning, decide)
                schedules[:] = [world.schedule]
                for role, process in cast:
                    world.enter(role, process)
                return world.run()

            return Explorer(bounds, first).explore(run)

        structlog.configure(processors=[_silence])
        try:
            with under_control(lambda: schedules[0] if schedules else None, bench.let_pass):
                yield search
        finally:
            structlog.configure(**config)
            bench.close()


def _silence(*_: object) -> str:
    """Log nothing: thousands of schedules would fill the screen."""
    raise structlog.DropEvent
