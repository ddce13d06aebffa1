"""What happens at once: a herd of sidebars, a storm of refreshes."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.crowd import Seen, crowd
from benchmarks.figures import Figure
from benchmarks.upstream import INTEGRATIONS, Counts
from benchmarks.world import ADMIN, World
from service.ground.subdomains import Subdomain

DELAY_MILLISECONDS = 50
HERD = 1000
HERD_SECONDS = 1.0
STORM = 256
# The bound on the 99th percentile of a herd.
HERD_BOUND_MILLISECONDS = 2 * DELAY_MILLISECONDS + 500


@dataclass(frozen=True, slots=True)
class Event:
    """What crowds saw, and what reached the upstream because of them."""

    name: str
    seen: tuple[Seen, ...]
    reached: tuple[Counts, ...]

    def latency(self, share: str) -> Figure:
        """Return a percentile of the latencies, in milliseconds."""
        return Figure(tuple(float(getattr(one, share)) for one in self.seen))

    @property
    def refused(self) -> int:
        """How many were refused, in all repetitions."""
        return sum(one.refused for one in self.seen)

    def most(self, kind: str) -> int:
        """Return how many questions of a kind reached the upstream at the most."""
        return max(int(getattr(one, kind)) for one in self.reached)


def measure_herd(world: World, rounds: int, progress: Callable[[str], None]) -> list[Event]:
    """Let 1,000 agents of one account open their sidebars within a second, when its lists have just grown old.

    Once with agents who looked at it in the last five minutes, once with agents of whom nothing is known: each of those
    is a question to Zendesk of its own.
    """
    integrations = ",".join(f"{{subdomain}}_{name}" for name in INTEGRATIONS)
    with world.service_for_a_while("herd", ZIS_INTEGRATIONS=integrations) as service:
        accounts = world.connect(service.settings, ["herd"])
        agents = service.requests(accounts, range(ADMIN, ADMIN + HERD))
        events = []
        for name, is_known in (("agents seen lately", True), ("agents never seen", False)):
            seen, reached = [], []
            for number in range(1, rounds + 1):
                progress(f"herd of {HERD} {name}, round {number} of {rounds}")
                world.set_delay(0)
                if not is_known:
                    _forget(world, accounts[0], "role")
                # Those who are known; the others' first is the admin, whose question mints the tokens.
                crowd(service.program, agents if is_known else agents[:1], window_seconds=0, folder=world.folder)
                _forget(world, accounts[0], "list")
                world.set_delay(DELAY_MILLISECONDS)
                world.forget_counts()
                seen.append(crowd(service.program, agents, window_seconds=HERD_SECONDS, folder=world.folder))
                reached.append(world.counts())
            events.append(Event(name, tuple(seen), tuple(reached)))
    return events


def measure_storm(world: World, rounds: int, progress: Callable[[str], None]) -> Event:
    """Let 256 callers come within a tenth of a second, with an access token that has expired and nothing cached."""
    direct = {"ZENDESK_CLIENT_ID": "zis_storm_orders", "ZIS_INTEGRATIONS": "storm_orders", "LIST_CACHE_SECONDS": "0"}
    with world.service_for_a_while("storm", **direct) as service:
        seen, reached = [], []
        world.set_delay(DELAY_MILLISECONDS)
        for number in range(1, rounds + 1):
            progress(f"storm of {STORM}, round {number} of {rounds}")
            accounts = world.connect(service.settings, ["storm"])
            requests = service.requests(accounts)
            # The role is known, so that nobody asks for it with the old token.
            crowd(service.program, requests, window_seconds=0, folder=world.folder)
            world.connect(service.settings, ["storm"], expires_in=-1)
            world.forget_counts()
            seen.append(crowd(service.program, requests * STORM, window_seconds=0.1, folder=world.folder))
            reached.append(world.counts())
    return Event("an access token that has expired", tuple(seen), tuple(reached))


def _forget(world: World, account: Subdomain, what: str) -> None:
    """Let what Redis keeps of an account be as if its time were over."""
    keys = list(world.redis.scan_iter(match=f"zis:{{{account}}}:{what}:*", count=1000))
    if keys:
        world.redis.delete(*keys)
