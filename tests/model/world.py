"""One account at Zendesk, a store, and processes of the real service around them, for one schedule."""

import json
import time
from collections.abc import Hashable, Sequence
from typing import Any

from service.grants.leases import LEASE_SECONDS
from service.ground.errors import AuthorizationRequired, ServiceError
from service.store.store import Store
from tests.model.bench import Beginning, Bench
from tests.model.guarantees import Guarantees, Record
from tests.model.processes import WORK, Process, call_zis
from tests.model.scheduler import Schedule
from tests.model.steps import Actor, Decide, Event, Step, Violation
from tests.model.words import GRANT, LEASE
from tests.model.zendesk import Account, Pair

# A process that sleeps this long finds its lease ended.
STALL_SECONDS = LEASE_SECONDS + 1
# Longer than any lease or cool-down.
SETTLED_SECONDS = 90
# What passes where everybody waits for something that has no end in the store.
NAP_SECONDS = 2.0


class World:
    """The surroundings of one schedule."""

    def __init__(self, bench: Bench, beginning: Beginning, decide: Decide) -> None:
        self.schedule = Schedule(decide, self)
        self.account = Account(reads_users=beginning.reads_users, refuses=beginning.refuses)
        self.guarantees = Guarantees(self.account)
        self.is_away = False
        self.steps_fail = beginning.fails_as == "steps"
        self.refuses = beginning.refuses
        self.taken: set[str] = set()
        self._bench = bench
        self._beginning = beginning
        self._stored: dict[str, tuple[float, Any]] = {}
        self._leases: dict[str, tuple[str, int]] = {}
        """By what stands in the store: whose lease it is, and the how manieth of all."""
        self._processes: dict[str, Process] = {}
        bench.stepped.world = self
        bench.begin(beginning, self.account)
        self.guarantees.begin(nobody_can_open=beginning.key_is_lost)
        self.look()

    def enter(self, role: str, process_name: str) -> None:
        """Let a thread of a process do its work."""
        if process_name not in self._processes:
            self._processes[process_name] = self._start(process_name)
        process = self._processes[process_name]

        def arrive() -> object:
            # A step of its own, because the time it has begins here.
            self.schedule.at(Step("arrives"))
            self.schedule.happened("arrives", changes=False)
            return WORK[role](process)

        self.schedule.spawn(f"{role} in {process_name}", process_name, arrive)

    def run(self) -> Schedule:
        """Return the schedule once it has been run and judged."""
        self.schedule.run()
        if self.schedule.violation is None and not self.schedule.was_cut:
            self.schedule.violation = self._judge()
        return self.schedule

    def _start(self, name: str) -> Process:
        return Process(self, name, Store(self._bench.stepped), self._bench.settings[self._beginning.mode])

    # --- what the scheduler asks ---

    def state(self) -> Hashable:
        return (
            self._stored_whole(),
            self.account.state(),
            self.guarantees.state(),
            time.time(),
            self.is_away,
            tuple(sorted(self.taken)),
            tuple(process.has_unsaved for process in self._processes.values()),
        )

    def moment(self) -> float:
        return time.time()

    def events(self) -> Sequence[Event]:
        found = []
        if self.steps_fail and any(key.startswith(LEASE) for key in self._stored):
            found.append(Event(f"everybody sleeps for {STALL_SECONDS} s", self._stall, is_fault=True))
        if not self.steps_fail and not self.is_away:
            found.append(Event("the store goes away", self._go_away, is_fault=True))
        return found

    def end_of_waiting(self) -> Event | None:
        if self.is_away:
            return Event("the store is back", self._come_back)
        going_on = {actor.name for actor in self.schedule.actors if actor.goes_on}
        # A lease whose holder has gone only has to end; others may wait for something of their own.
        ends = [
            NAP_SECONDS if holder[0] in going_on else ttl
            for key, (ttl, holder) in self._stored.items()
            if key.startswith(LEASE)
        ]
        seconds = min(ends, default=NAP_SECONDS)
        return Event(f"{seconds:g} s pass", lambda: self._let_pass(seconds))

    def crash(self, process: str) -> None:
        self.guarantees.faults += 1
        self.guarantees.crashed.add(process)
        self.taken = {name for name in self.taken if not name.startswith(f"{process}'s")}

    def check(self) -> None:
        self.guarantees.check()

    def _stall(self) -> None:
        self.guarantees.faults += 1
        self.guarantees.overslept |= {holder[0] for key, (_, holder) in self._stored.items() if key.startswith(LEASE)}
        self._let_pass(STALL_SECONDS)

    def _go_away(self) -> None:
        self.is_away = True

    def _come_back(self) -> None:
        self.is_away = False

    def _let_pass(self, seconds: float) -> None:
        self._bench.let_pass(seconds)
        self.look()

    def _stored_whole(self) -> Hashable:
        return tuple((key, ttl, self._bench.words.told(value)[1]) for key, (ttl, value) in self._stored.items())

    # --- what the edges ask ---

    def describe(self, command: tuple[Any, ...]) -> str:
        """Return a command in words, and note whose lease it would be."""
        actor = self.schedule.current
        if str(command[1]).startswith(LEASE) and actor is not None:
            self._leases[_text(command[2])] = (actor.name, len(self._leases))
        return self._bench.words.describe(command)

    def told(self, command: tuple[Any, ...], reply: Any) -> tuple[str, Hashable]:
        """Return the reply to a command in words, and all that is in it."""
        return self._bench.words.answer(command, reply)

    def look(self) -> None:
        """Look at what the store holds now, and judge it."""
        self._stored = {}
        for key, ttl, value in self._bench.dump():
            if ":worked:" in key and not self.refuses:
                continue
            if key.startswith(LEASE):
                self._stored[key] = (ttl, self._leases[_text(value)])
            elif key == GRANT:
                # Its end is years away, and counted by the server's own clock.
                self._stored[key] = (0, sorted(zip(value[::2], value[1::2], strict=True)))
            else:
                self._stored[key] = (ttl, value)
        record = self._record()
        if record != self.guarantees.record:
            self.guarantees.record_is(record, self.schedule.current)

    def has_lease(self, actor: Actor | None) -> bool:
        """Return whether the lease to refresh is this thread's."""
        _, holder = self._stored.get(f"{LEASE}refresh", (0, ("", 0)))
        return actor is not None and holder[0] == actor.name

    def _record(self) -> Record | None:
        if GRANT not in self._stored:
            return None
        fields = dict(self._stored[GRANT][1])
        opened = {name: json.loads(self._bench.words.open(value)) for name, value in fields.items() if b"." in value}
        minted = tuple(token["access_token"] for name, token in opened.items() if name != b"sealed")
        return Record(_text(fields[b"id"]), _text(fields[b"generation"]), opened[b"sealed"], minted)

    # --- the end ---

    def _judge(self) -> Violation | None:
        """Judge what a whole schedule came to, and let a last caller find out whether the account still works."""
        guarantees, actors = self.guarantees, self.schedule.actors
        has_no_grant = self._beginning.is_revoked or any("disconnect" in actor.name for actor in actors)
        for actor in actors:
            guarantees.judge_outcome(actor, may_fail=has_no_grant)
        self._let_pass(SETTLED_SECONDS)
        self.account.refuses = False
        guarantees.judge_end()
        if guarantees.broken is None and not self._beginning.key_is_lost:
            key = (self._beginning, self._stored_whole(), self.account.state(), time.time())
            if key not in self._bench.last_calls:
                self._bench.last_calls[key] = self._let_somebody_call()
            guarantees.broken = self._bench.last_calls[key]
        return None if guarantees.broken is None else Violation(guarantees.broken)

    def _let_somebody_call(self) -> str | None:
        """Return what is wrong with a last call; None: nothing."""
        record = self.guarantees.record
        pair: Pair | None = None if record is None else self.account.pair_of(record.grant["access_token"])
        try:
            call_zis(self._start("the end"))
        except AuthorizationRequired as refusal:
            if pair is not None and pair.lives:
                return f"{pair.access} is stored and lives, and a last caller is told: {refusal}"
        except ServiceError as failure:
            return f"a last caller fails: {failure!r}"
        return None


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
