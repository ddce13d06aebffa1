"""SECRET_KEYS against what is stored: which key holds how much, and what no key opens."""

from collections import Counter
from collections.abc import Iterator

from service.ground.deadlines import Deadline
from service.operations.console import number_of
from service.operations.doctor.findings import Finding
from service.operations.sealed_records import SealedRecords
from service.store.vault import Vault


def check_keys(records: SealedRecords, vault: Vault, deadline: Deadline) -> Iterator[Finding]:
    """Judge the key ring by everything that is sealed.

    Raises:
        StoreUnavailable: Redis did not answer.
    """
    by_key: Counter[str | None] = Counter()
    tokens: Counter[str | None] = Counter()
    grants, open_grants, lasting, open_lasting = 0, 0, 0, 0
    is_whole = True
    for record in records.all():
        if deadline.left() <= 0:
            is_whole = False
            break
        token = records.waiting_token(record)
        if token is not None:
            tokens[token.hash_key_id] += 1
        by_key.update({record.key_id} if token is None else {record.key_id, token.hash_key_id})
        # Only grants are opened, and the few machine tokens: of activity entries, of which there may be very many, the
        # key's id is enough.
        is_open = records.opens(record) if record.kind == "grant" else record.key_id in vault.key_ids
        if record.kind == "grant":
            grants, open_grants = grants + 1, open_grants + is_open
        if record.is_lasting:
            lasting, open_lasting = lasting + 1, open_lasting + is_open
    # Grants count for more: what a wrong key has sealed meanwhile must not hide that it opens none of them.
    kept, opened = (grants, open_grants) if grants else (lasting, open_lasting)
    strangers = {key_id: count for key_id, count in by_key.items() if key_id not in vault.key_ids}
    yield from _of_ring(by_key, tokens, vault.key_ids, is_whole=is_whole)
    if kept and not opened:
        what = number_of("accounts" if grants else "records", kept)
        advice = f"Put the key back that sealed them ({_named(strangers)}), at the end of SECRET_KEYS."
        yield Finding("FAIL", "keys that open nothing", f"SECRET_KEYS opens none of what is stored: {what}.", advice)
    elif strangers or opened < kept:
        closed = number_of("records", sum(strangers.values()) or kept - opened)
        says = f"SECRET_KEYS has no key for {closed}."
        advice = (
            f"Put the key back that sealed them ({_named(strangers)}), or connect those accounts again; `flask --app "
            "service rotate-keys` names them."
        )
        yield Finding("warn", "keys", says, advice)
    if not is_whole:
        advice = "`flask --app service rotate-keys` looks at all of them."
        yield Finding("warn", "keys", "There was no time to look at every record.", advice)


def _of_ring(
    by_key: Counter[str | None], tokens: Counter[str | None], key_ids: tuple[str, ...], *, is_whole: bool
) -> Iterator[Finding]:
    """Yield a line an entry; `tokens`: the machine tokens that end with it."""
    for position, key_id in enumerate(key_ids, start=1):
        count = by_key[key_id]
        says = f"Entry {position} of SECRET_KEYS ({key_id}) holds {number_of('records', count)}."
        if position == 1:
            yield Finding("ok", "keys", f"{says} It seals what is new.")
        elif count == 0 and is_whole:
            yield Finding("ok", "keys", f"{says} It can be removed.")
        else:
            if tokens[key_id]:
                says += (
                    f" {number_of('machine tokens', tokens[key_id])} not used since the newest came would end with it."
                )
            yield Finding("ok", "keys", f"{says} Before removing it, run `flask --app service rotate-keys`.")


def _named(strangers: dict[str | None, int]) -> str:
    named = sorted(key_id for key_id in strangers if key_id is not None)
    return f"id {', '.join(named)}" if named else "its id is not readable"
