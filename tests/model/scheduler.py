"""Runs real threads one step at a time, in an order that somebody else decides. Knows nothing of tokens.

A thread runs freely until it is about to touch something outside itself; there it names its next step and is parked
until it is chosen. So at every decision all threads are parked, and which goes on, and what befalls it, is a free
choice: `explorer` makes all of them, one schedule after another.
"""

import itertools
import threading
from collections.abc import Callable, Hashable
from typing import Any

from tests.model.steps import CRASH, STUCK_SECONDS, Abandoned, Actor, Decide, Option, Step, Surroundings, Violation

# A schedule of this many steps does not come to an end.
MOST_STEPS = 600


class Schedule:
    """One run of all threads to their end."""

    def __init__(self, decide: Decide, surroundings: Surroundings) -> None:
        self.actors: list[Actor] = []
        self.trace: list[str] = []
        """The steps, for people to read."""
        self.violation: Violation | None = None
        self.was_cut = False
        """Whether it was left where it came to a known state."""
        self.changes = 0
        """Counts what anybody may have waited for."""
        self._decide = decide
        self._surroundings = surroundings
        self._is_over = False
        self._current: Actor | None = None
        self._fault: str | None = None
        self._own = threading.local()
        self._parked = threading.Semaphore(0)
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    # --- from outside ---

    def spawn(self, name: str, process: str, work: Callable[[], Any]) -> None:
        """Start a thread and let it run up to its first step."""
        actor = self._enlist(name, process)
        thread = threading.Thread(target=self._live, args=(actor, work), name=actor.name, daemon=True)
        self._threads.append(thread)
        thread.start()
        if not self._parked.acquire(timeout=STUCK_SECONDS):
            raise RuntimeError(f"{actor.name} never came to its first step")

    def run(self) -> None:
        """Let the threads go, one step at a time, until all have ended or a guarantee is broken."""
        self._go_on()
        if not self._ended.wait(STUCK_SECONDS):
            raise RuntimeError("the schedule is stuck:\n" + "\n".join(self.trace))
        for thread in self._threads:
            thread.join(STUCK_SECONDS)

    # --- from the threads ---

    @property
    def current(self) -> Actor | None:
        """The actor the calling thread is; None: it is not under control."""
        return getattr(self._own, "actor", None)

    def at(self, step: Step) -> str | None:
        """Park the calling thread before a step; returns, once it is chosen, what befalls it."""
        actor = self.current
        if actor is None:
            return None
        self._stop_if_over(actor)
        actor.step = step
        if self._current is actor:
            self._go_on()
        else:
            self._parked.release()
        actor.wait()
        self._stop_if_over(actor)
        fault, self._fault = self._fault, None
        return fault

    def happened(self, text: str, *seen: Hashable, changes: bool) -> None:
        """Write down what came of the calling thread's step, and check what must hold."""
        actor = self.current
        if actor is None:
            return
        self.trace.append(f"{actor.name}: {text}")
        # With its time, because what a thread does next may depend on how long ago something was.
        actor.saw(text, self._surroundings.moment(), *seen)
        self.changes += changes
        try:
            self._surroundings.check()
        except Violation as violation:
            self._end(violation)
            raise Abandoned from None

    def stop_if_over(self) -> None:
        """End the calling thread if its process has crashed or its schedule has ended; it touches nothing any more."""
        if self.current is not None:
            self._stop_if_over(self.current)

    def nap(self, loop: Hashable) -> None:
        """Park the calling thread until something has changed; it comes back to the beginning of `loop`.

        A loop that waits carries nothing from one round to the next, so that all its rounds are one state.
        """
        actor = self.current
        if actor is not None:
            actor.history = actor.loops.setdefault(loop, actor.history)
            seen = self.changes
            self.at(Step("waits", is_enabled=lambda: self.changes != seen))

    def adopt(self, thread: threading.Thread) -> None:
        """Take a thread that a controlled one is about to start under control as well."""
        parent = self.current
        assert parent is not None
        actor = self._enlist(f"{thread.name} of {parent.process}", parent.process)
        actor.step = Step("begins")
        actor.saw(parent.history)
        run = thread.run

        def begin() -> None:
            actor.wait()
            if not self._is_over and not actor.has_crashed:
                self._live(actor, run)

        thread.run = begin  # type: ignore[method-assign]  # as threading lets a subclass do
        self._threads.append(thread)

    # --- inside ---

    def _enlist(self, name: str, process: str) -> Actor:
        taken = {actor.name for actor in self.actors}
        names = itertools.chain([name], (f"{name} ({number})" for number in itertools.count(2)))
        actor = Actor(next(name for name in names if name not in taken), process)
        self.actors.append(actor)
        return actor

    def _stop_if_over(self, actor: Actor) -> None:
        if self._is_over or actor.has_crashed:
            raise Abandoned

    def _live(self, actor: Actor, work: Callable[[], Any]) -> None:
        self._own.actor = actor
        try:
            actor.outcome = work()
        except Abandoned:
            return
        except Exception as fault:  # noqa: BLE001 - the outcome is for others to judge
            actor.outcome = fault
        if self._is_over or actor.has_crashed:
            return
        actor.step = None
        self.changes += 1
        if self._current is not actor:
            # It ended without a single step.
            self._parked.release()
            return
        told = f"{type(actor.outcome).__name__}: {actor.outcome}" if isinstance(actor.outcome, Exception) else "success"
        self.trace.append(f"{actor.name}: ends with {told}")
        self._go_on()

    def _go_on(self) -> None:
        """Choose who goes on, and wake that thread; done by the thread that has just been parked, or has ended."""
        try:
            chosen = self._choose()
        except Violation as violation:
            self._end(violation)
            return
        if chosen is None:
            self._end(None)
        else:
            self._current = chosen
            chosen.wake()

    def _choose(self) -> Actor | None:
        """Return who goes on; None: nobody, all have ended or the rest is known."""
        while True:
            if len(self.trace) > MOST_STEPS:
                raise Violation("the threads do not come to an end")
            options = self._options()
            if not any(option.actor for option in options):
                if not any(actor.goes_on for actor in self.actors):
                    return None
                end = self._surroundings.end_of_waiting()
                if end is None:
                    raise Violation("all wait for one another")
                options = [Option(end.text, event=end)]
            option = options[0] if len(options) == 1 else self._decide(options, self._state)
            if option is None:
                self.was_cut = True
                return None
            if option.event is not None:
                self.trace.append(f"*** {option.event.text}")
                option.event.happen()
                self.changes += 1
                self._surroundings.check()
            elif option.fault == CRASH:
                self._crash(option)
            else:
                self._fault = option.fault
                return option.actor

    def _options(self) -> list[Option]:
        ready = [actor for actor in self.actors if actor.is_ready]
        # Who went on last comes first, so that the first schedule tried has no interruption.
        ready.sort(key=lambda actor: actor is not self._current)
        options = []
        for actor in ready:
            assert actor.step is not None
            label = f"{actor.name}: {actor.step.text}"
            for fault in (None, *actor.step.faults):
                is_preemption = actor is not self._current and ready[0] is self._current
                options.append(Option(f"{label} [{fault}]", actor, fault, is_preemption=is_preemption))
        return options + [Option(event.text, event=event) for event in self._surroundings.events()]

    def _crash(self, option: Option) -> None:
        victim = option.actor
        assert victim is not None
        self.trace.append(f"*** {victim.process} crashes instead of {option.label}")
        self.changes += 1
        self._surroundings.crash(victim.process)
        for actor in self.actors:
            if actor.process == victim.process:
                actor.has_crashed = True
                actor.history = 0
                if actor.step is not None:
                    actor.wake()

    def _state(self) -> Hashable:
        actors = tuple(
            (actor.history, "crashed" if actor.has_crashed else actor.step and actor.step.text, actor.is_ready)
            for actor in self.actors
        )
        return hash((actors, self._surroundings.state()))

    def _end(self, violation: Violation | None) -> None:
        self.violation = violation
        self._is_over = True
        for actor in self.actors:
            if actor.goes_on:
                actor.wake()
        self._ended.set()
