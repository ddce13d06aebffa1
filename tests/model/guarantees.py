"""What must hold in every schedule, judged by what Zendesk and the store really hold.

Where nobody could keep a guarantee it is excused, and only there: a reply that was lost names a pair that nobody knows;
what only a crashed process knew is gone; a pair that is refreshed only to be revoked is refreshed once.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any

from service.ground.errors import ServiceError
from tests.model.steps import Actor, Violation
from tests.model.zendesk import Account, Minted, Pair

# The first wait of the cool-down is 2 s, jittered down by a quarter at most.
LEAST_WAIT_SECONDS = 1.5
# It doubles up to here, jittered down alike.
LONGEST_LEAST_WAIT_SECONDS = 22.5


@dataclass(frozen=True, slots=True)
class Record:
    """What the store holds for the account, opened."""

    id: str
    generation: str
    grant: dict[str, Any]
    minted: tuple[str, ...]
    """The access tokens of the minted tokens."""

    def __hash__(self) -> int:
        return hash((self.id, self.generation, str(self.grant), self.minted))


@dataclass(frozen=True, slots=True)
class Ask:
    """A refresh that was asked for."""

    refresh_token: str
    actor: str
    at: float
    revokes_only: bool
    """Asked for a grant that is no longer stored: whatever comes is revoked."""
    has_lease: bool
    was_answered: bool = False


@dataclass
class Guarantees:
    """Watches one schedule."""

    account: Account
    record: Record | None = None
    consents: dict[str, int] = field(default_factory=dict)
    """The consent each record id stands for."""
    gone: set[str] = field(default_factory=set)
    """Ids of records that were deleted or replaced."""
    ever_stored: set[str] = field(default_factory=set)
    holders: dict[int, Hashable] = field(default_factory=dict)
    """By number of pair or minted token: the last process that alone knew it."""
    excused: set[int] = field(default_factory=set)
    """Numbers of tokens that may live on with nobody holding them."""
    crashed: set[Hashable] = field(default_factory=set)
    asks: list[Ask] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)
    """How many requests each patient caller has begun."""
    replaced: list[tuple[str, int, float]] = field(default_factory=list)
    """(caller, request, when) of each new token that was asked for while Zendesk refuses all."""
    faults: int = 0
    overslept: set[str] = field(default_factory=set)
    """Threads that held a lease while everybody slept for longer than it lasts."""
    cool_down_failed: bool = False
    """Whether the store did not take a cool-down."""
    broken: str | None = None

    def begin(self, *, nobody_can_open: bool) -> None:
        """Note who holds what is there at the beginning."""
        for token in self.account.tokens:
            self.holders[token.number] = "the store"
            if nobody_can_open:
                self.excused.add(token.number)

    def state(self) -> Hashable:
        """Return what the verdicts still to come depend on."""
        return (
            tuple(sorted(self.consents.items())),
            tuple(sorted(self.gone)),
            tuple(sorted(self.ever_stored)),
            tuple(sorted((number, str(holder)) for number, holder in self.holders.items())),
            tuple(sorted(self.excused)),
            tuple(sorted(str(process) for process in self.crashed)),
            tuple(self.asks),
            tuple(sorted(self.requests.items())),
            tuple(self.replaced),
            self.faults,
            tuple(sorted(self.overslept)),
            self.cool_down_failed,
        )

    def check(self) -> None:
        """Raise what was found broken; a step notes it, and the scheduler asks once the step is written down."""
        if self.broken is not None:
            raise Violation(self.broken)

    def _require(self, holds: bool, otherwise: str) -> None:
        if not holds and self.broken is None:
            self.broken = otherwise

    # --- at the store ---

    def store_failed(self, step: str, *, reads: bool) -> None:
        """Note a fault of the store."""
        self.faults += 1
        self.cool_down_failed |= not reads and "wait" in step

    def record_is(self, now: Record | None, actor: Actor | None) -> None:
        """Judge a change of the record."""
        before, self.record = self.record, now
        role, process = ("", None) if actor is None else (actor.name, actor.process)
        if before is not None and (now is None or now.id != before.id):
            self.gone.add(before.id)
            self._displaced(before, process)
            rightly = "disconnect" if now is None else "reconnect"
            self._require(rightly in role, f"{role} removed the grant, and only a {rightly} may")
        if now is None:
            return
        pair = self.account.pair_of(now.grant["access_token"])
        assert pair is not None
        consent = self.consents.setdefault(now.id, pair.consent)
        self._require(now.id not in self.gone, "a grant that was disconnected or replaced is stored again")
        self._require(pair.consent == consent, "the record holds the pair of another consent")
        self._require(pair.refresh == now.grant["refresh_token"], "the record mixes two pairs")
        self.ever_stored |= {pair.access, *now.minted}
        if before is None or before.id != now.id:
            return
        self._changed(before, now, process)

    def _changed(self, before: Record, now: Record, process: Hashable) -> None:
        old = self.account.pair_of(before.grant["access_token"])
        assert old is not None
        if now.grant["access_token"] != old.access:
            self._require(not old.refresh_lives, f"{old.refresh} is overwritten, and Zendesk honours it")
        for token in self.account.minted:
            if token.access in before.minted and token.access not in now.minted:
                self.holders[token.number] = process
        dead, refresh_token = now.grant["dead"], now.grant["refresh_token"]
        if dead is not None and before.grant["dead"] is None:
            self._require(
                not self.account.honours(refresh_token), f"{refresh_token} is called dead, and Zendesk honours it"
            )
            pair = self.account.pair_of(refresh_token)
            assert pair is not None
            self._require(
                dead != "grant_revoked" or pair.ended_by == "revocation",
                f"{refresh_token} is called revoked, and it was spent: the reply to a refresh was lost",
            )
            may_be_lost = (
                pair.ended_by != "revocation" or len([a for a in self.asks if a.refresh_token == refresh_token]) > 1
            )
            self._require(
                dead != "refresh_outcome_unknown" or may_be_lost,
                f"{refresh_token} is called spent by a lost reply, and it was revoked before anybody asked with it",
            )

    def _displaced(self, record: Record, process: Hashable) -> None:
        for token in self.account.tokens:
            if token.access in {record.grant["access_token"], *record.minted}:
                self.holders[token.number] = process

    # --- at Zendesk ---

    def call_failed(self, refresh_token: str | None) -> None:
        """Note that a call failed; if it was a refresh for a revocation alone, its pair is excused for living on."""
        pair = self.account.pair_of(refresh_token)
        if pair is not None and not self._is_current(pair):
            self.excused.add(pair.number)

    def _is_current(self, token: Pair | Minted) -> bool:
        """Return whether a pair belongs to the grant that is stored."""
        consent = None if self.record is None else self.consents[self.record.id]
        return isinstance(token, Pair) and token.consent == consent

    def is_delivered(self, access_token: str, process: Hashable) -> None:
        """Note that a process was handed a token."""
        self.holders[int(access_token[1:])] = process

    def is_asked(self, refresh_token: str, actor: Actor | None, now: float, *, has_lease: bool) -> None:
        """Judge a refresh before it is answered."""
        if actor is None:
            return
        pair = self.account.pair_of(refresh_token)
        assert pair is not None
        ask = Ask(refresh_token, actor.name, now, revokes_only=not self._is_current(pair), has_lease=has_lease)
        if not ask.revokes_only:
            successor = self.account.successor_of(pair)
            self._require(
                successor is None or self.holders.get(successor.number) != actor.process,
                f"{actor.name} asks with {refresh_token}, whose successor its process holds",
            )
            # Whoever sleeps between looking at the clock and asking cannot know that the lease has ended.
            self._require(
                has_lease or actor.name in self.overslept, f"{actor.name} asks with {refresh_token} without the lease"
            )
            for earlier in self.asks:
                if earlier.refresh_token == refresh_token and not earlier.revokes_only:
                    self._judge_repetition(earlier, ask)
        self.asks.append(ask)

    def _judge_repetition(self, earlier: Ask, ask: Ask) -> None:
        again = f"{ask.actor} asks with {ask.refresh_token}"
        self._require(earlier.actor != ask.actor, f"{again} a second time by itself")
        waited = ask.at - earlier.at
        slept = not (earlier.has_lease and ask.has_lease)
        is_free = earlier.was_answered or slept or self.cool_down_failed
        self._require(
            is_free or waited >= LEAST_WAIT_SECONDS,
            f"{again} {waited:g} s after {earlier.actor} did, who had no answer",
        )

    def begins_request(self, actor: Actor | None) -> None:
        """Note that a caller begins another request."""
        if actor is not None:
            self.requests[actor.name] = self.requests.get(actor.name, 0) + 1

    def is_replaced(self, actor: Actor | None, now: float) -> None:
        """Judge a new token that is asked for, while Zendesk refuses all: one a request, after ever longer waits."""
        if actor is None or not self.account.refuses:
            return
        request = self.requests.get(actor.name, 0)
        self._require(
            (actor.name, request) not in {(caller, number) for caller, number, _ in self.replaced},
            f"{actor.name} replaces a refused token a second time in one request",
        )
        if self.replaced:
            least = min(LEAST_WAIT_SECONDS * 2 ** (len(self.replaced) - 1), LONGEST_LEAST_WAIT_SECONDS)
            waited = now - self.replaced[-1][2]
            self._require(waited >= least, f"{actor.name} replaces a refused token {waited:g} s after the last one")
        self.replaced.append((actor.name, request, now))

    def is_answered(self, refresh_token: str | None, actor: Actor | None) -> None:
        """Note that the last refresh asked for with this token has come back."""
        if actor is not None and refresh_token is not None:
            self.asks[-1] = replace(self.asks[-1], was_answered=True)

    def is_used(self, access_token: str, path: str, actor: Actor | None) -> None:
        """Judge a call before it is answered."""
        if actor is not None and not path.startswith("/api/v2/oauth/tokens/") and "reconnect" not in actor.name:
            self._require(access_token in self.ever_stored, f"{actor.name} uses {access_token}, which was never stored")

    def is_revoked(self, number: int, actor: Actor | None) -> None:
        """Judge a revocation before it is done."""
        if actor is None or self.record is None or "disconnect" in actor.name:
            return
        for pair in self.account.pairs:
            if pair.number == number and pair.lives:
                self._require(
                    pair.consent != self.consents[self.record.id],
                    f"{actor.name} revokes {pair.access} of the grant that is stored",
                )
        for token in self.account.minted:
            if token.number == number and token.lives:
                self._require(
                    token.access not in self.record.minted, f"{actor.name} revokes {token.access}, which is stored"
                )

    # --- at the end ---

    def judge_outcome(self, actor: Actor, *, may_fail: bool) -> None:
        """Judge what a thread's work came to."""
        outcome = actor.outcome
        if not isinstance(outcome, Exception) or actor.has_crashed:
            return
        self._require(isinstance(outcome, ServiceError), f"{actor.name} failed with {outcome!r}")
        if self.faults == 0 and not may_fail:
            self._require(holds=False, otherwise=f"{actor.name} failed though nothing went wrong: {outcome!r}")

    def judge_end(self) -> None:
        """Judge what is left at Zendesk once everybody has finished."""
        held = set() if self.record is None else {self.record.grant["access_token"], *self.record.minted}
        for token in self.account.tokens:
            if token.lives and token.access not in held and not self._is_excused(token):
                what = "the grant is lost" if self._is_current(token) else "nobody holds it"
                self._require(holds=False, otherwise=f"{token.access} lives at Zendesk, and {what}")

    def _is_excused(self, token: Pair | Minted) -> bool:
        holder = self.holders.get(token.number)
        if holder is None or holder in self.crashed:
            # Lost on the way, or with the only process that knew it.
            return True
        return token.number in self.excused and not self._is_current(token)
