"""Sealing everything anew under the newest key, beside whoever reads and writes it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from service.ground.subdomains import Subdomain
from service.operations.sealed_records import SealedRecord, SealedRecords
from service.people.machine_tokens import Machine
from service.store.vault import KeyMissing

# A record that somebody else wrote in between is tried again; only the busiest records need a third try.
MOST_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Tally:
    """What is sealed under which key now."""

    by_key: dict[str | None, int]
    """Records by the id of each key that they need: the one they are sealed under (None: unreadable), and the one with
    which a waiting machine token ends."""
    closed: tuple[SealedRecord, ...]
    """Those that no key opens."""
    behind: int
    """Those that open, but under an older key than the newest."""
    waiting: tuple[tuple[Subdomain, Machine], ...]
    """Machine tokens that were not shown since the newest key came; each ends with its `hash_key_id`."""


def rotate(records: SealedRecords, newest: str, tell: Callable[[str], None], is_interrupted: Callable[[], bool]) -> int:
    """Seal every record anew that is not under the key `newest`; returns how many were.

    What no key opens is kept as it is. Repeated, it goes on with what is left.

    Raises:
        StoreUnavailable: Redis did not answer.
    """
    resealed = 0
    for _ in range(MOST_ROUNDS):
        was_overtaken = False
        for looked_at, record in enumerate(records.all(), start=1):
            if is_interrupted():
                return resealed
            tell(f"{looked_at} records looked at, {resealed} sealed anew")
            if record.key_id == newest:
                continue
            try:
                is_done = records.reseal(record)
            except KeyMissing:
                continue
            resealed += is_done
            was_overtaken |= not is_done
        if not was_overtaken:
            break
    return resealed


def tally(records: SealedRecords, newest: str, tell: Callable[[str], None]) -> Tally:
    """Return what is sealed under which key, by opening it all.

    Raises:
        StoreUnavailable: Redis did not answer.
    """
    by_key: Counter[str | None] = Counter()
    closed, waiting = [], []
    behind = 0
    for counted, record in enumerate(records.all(), start=1):
        tell(f"{counted} records counted")
        needed = {record.key_id}
        token = records.waiting_token(record)
        if token is not None:
            waiting.append((record.account, token))
            needed.add(token.hash_key_id)
        by_key.update(needed)
        if not records.opens(record):
            closed.append(record)
        elif record.key_id != newest:
            behind += 1
    return Tally(dict(by_key), tuple(closed), behind, tuple(waiting))
