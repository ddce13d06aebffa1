"""Sealed records open for the record they were sealed for, under a key of the ring, unchanged; else not at all."""

import base64
import json

import pytest
from joserfc import jwe

from service.store.vault import KeyMissing, Vault, derive_keys

OLD = "an-old-key-of-the-vault-tests-0123456789"
NEW = "a-new-key-of-the-vault-tests-0123456789a"
RECORD = "zis:{acme}:grant"
PLAINTEXT = b'{"access_token": "canary"}'


@pytest.fixture
def vault() -> Vault:
    return Vault((OLD,))


@pytest.fixture
def sealed(vault: Vault) -> bytes:
    return vault.seal(RECORD, PLAINTEXT).encode()


def test_what_was_sealed_opens(vault: Vault, sealed: bytes) -> None:
    assert vault.open(RECORD, sealed) == PLAINTEXT


def test_however_long_it_is(vault: Vault) -> None:
    plaintext = b"x" * 8_000_000
    assert vault.open(RECORD, vault.seal(RECORD, plaintext).encode()) == plaintext


def test_the_seal_hides_its_content_and_the_keys(sealed: bytes) -> None:
    assert b"canary" not in sealed
    header = json.loads(base64.urlsafe_b64decode(sealed.split(b".")[0] + b"=="))
    assert header == {"alg": "dir", "enc": "A256GCM", "kid": derive_keys((OLD,), "seal")[0].kid, "record": RECORD}


def test_sealing_twice_gives_two_texts(vault: Vault) -> None:
    assert vault.seal(RECORD, PLAINTEXT) != vault.seal(RECORD, PLAINTEXT)


@pytest.mark.parametrize("record", ["zis:{globex}:grant", "zis:{acme}:grant:minted:acme_orders", ""])
def test_a_value_moved_to_another_record_does_not_open(vault: Vault, sealed: bytes, record: str) -> None:
    with pytest.raises(KeyMissing):
        vault.open(record, sealed)


@pytest.mark.parametrize("part", range(5))
def test_a_value_changed_in_any_part_does_not_open(vault: Vault, sealed: bytes, part: int) -> None:
    parts = sealed.split(b".")
    changed = b"A" if parts[part][:1] != b"A" else b"B"
    parts[part] = changed + parts[part][1:]

    with pytest.raises(KeyMissing):
        vault.open(RECORD, b".".join(parts))


def test_a_header_rewritten_for_another_record_does_not_open(vault: Vault, sealed: bytes) -> None:
    header, *rest = sealed.split(b".")
    claimed = json.loads(base64.urlsafe_b64decode(header + b"==")) | {"record": "zis:{globex}:grant"}
    forged = base64.urlsafe_b64encode(json.dumps(claimed).encode()).rstrip(b"=")

    with pytest.raises(KeyMissing):
        vault.open("zis:{globex}:grant", b".".join([forged, *rest]))


@pytest.mark.parametrize(
    "sealed",
    [b"", b".", b"....", b"plain text", b"\xff\xfe....", b"W10....", b"eyJraWQiOjF9....", b"e30...."],
    ids=["empty", "dot", "dots", "text", "bytes", "list header", "numeric kid", "no kid"],
)
def test_what_is_no_seal_does_not_open(vault: Vault, sealed: bytes) -> None:
    with pytest.raises(KeyMissing):
        vault.open(RECORD, sealed)


@pytest.mark.parametrize("length", [1, 10, 100])
def test_a_truncated_value_does_not_open(vault: Vault, sealed: bytes, length: int) -> None:
    with pytest.raises(KeyMissing):
        vault.open(RECORD, sealed[:-length])


def test_a_foreign_key_opens_nothing(sealed: bytes) -> None:
    with pytest.raises(KeyMissing):
        Vault((NEW,)).open(RECORD, sealed)


def test_after_a_rotation_old_values_open_and_new_ones_are_sealed_under_the_new_key(
    vault: Vault, sealed: bytes
) -> None:
    rotated = Vault((NEW, OLD))

    assert rotated.open(RECORD, sealed) == PLAINTEXT
    newer = rotated.seal(RECORD, PLAINTEXT).encode()
    assert rotated.key_id(newer) != rotated.key_id(sealed)
    assert Vault((NEW,)).open(RECORD, newer) == PLAINTEXT
    with pytest.raises(KeyMissing):
        vault.open(RECORD, newer)


@pytest.mark.parametrize(
    "header", [{"alg": "dir", "enc": "A128CBC-HS256"}, {"alg": "A256KW", "enc": "A256GCM"}], ids=["enc", "alg"]
)
def test_only_one_algorithm_is_taken(vault: Vault, header: dict[str, str]) -> None:
    key = derive_keys((OLD,), "seal")[0]
    registry = jwe.JWERegistry(algorithms=list(header.values()), strict_check_header=False)
    forged = jwe.encrypt_compact(
        {**header, "kid": key.kid, "record": RECORD}, PLAINTEXT, key.oct_key, registry=registry
    )

    with pytest.raises(KeyMissing):
        vault.open(RECORD, forged.encode())


def test_sealing_and_signing_use_different_keys() -> None:
    sealing, signing = derive_keys((OLD,), "seal")[0], derive_keys((OLD,), "session")[0]

    assert sealing.kid == signing.kid
    assert sealing.oct_key.get_op_key("encrypt") != signing.oct_key.get_op_key("encrypt")


def test_a_keys_repr_shows_its_public_id_alone() -> None:
    key = derive_keys((OLD,), "seal")[0]

    assert repr(key) == f"DerivedKey(kid='{key.kid}')"
    assert OLD not in repr(key)


# --- keys ---


def test_the_ids_of_the_keys_are_in_the_order_of_the_ring() -> None:
    assert Vault((NEW, OLD)).key_ids == (*Vault((NEW,)).key_ids, *Vault((OLD,)).key_ids)


def test_a_vault_that_leaves_keys_as_found_seals_under_the_key_it_opened_with(vault: Vault, sealed: bytes) -> None:
    both = Vault((NEW, OLD))
    both.leave_keys_as_found()
    both.open(RECORD, sealed)
    for record in (RECORD, f"{RECORD}:minted:acme_orders", "zis:{acme}:role:1"):
        assert vault.open(record, both.seal(record, PLAINTEXT).encode()) == PLAINTEXT


def test_it_seals_what_belongs_to_nobody_it_has_seen_under_the_oldest(vault: Vault) -> None:
    both = Vault((NEW, OLD))
    both.leave_keys_as_found()
    both.open(RECORD, Vault((NEW,)).seal(RECORD, PLAINTEXT).encode())
    for record in ("zis:{globex}:grant", "zis:state:0123"):
        assert vault.open(record, both.seal(record, PLAINTEXT).encode()) == PLAINTEXT


def test_each_record_keeps_its_own_key_whatever_else_of_its_account_was_opened_since(vault: Vault) -> None:
    both, newer = Vault((NEW, OLD)), Vault((NEW,))
    both.leave_keys_as_found()
    both.open(RECORD, vault.seal(RECORD, PLAINTEXT).encode())
    both.open("zis:{acme}:role:1", newer.seal("zis:{acme}:role:1", PLAINTEXT).encode())
    assert vault.open(RECORD, both.seal(RECORD, PLAINTEXT).encode()) == PLAINTEXT
    assert newer.open("zis:{acme}:new", both.seal("zis:{acme}:new", PLAINTEXT).encode()) == PLAINTEXT


def test_it_is_told_of_every_opening(vault: Vault, sealed: bytes) -> None:
    both, newer = Vault((NEW, OLD)), Vault((NEW,))
    both.opened(RECORD, sealed, bytes.decode)
    both.leave_keys_as_found()
    both.opened(RECORD, newer.seal(RECORD, PLAINTEXT).encode(), bytes.decode)
    both.opened(RECORD, sealed, bytes.decode)
    assert vault.open(RECORD, both.seal(RECORD, PLAINTEXT).encode()) == PLAINTEXT


def test_otherwise_what_was_opened_makes_no_difference(sealed: bytes) -> None:
    both = Vault((NEW, OLD))
    both.open(RECORD, sealed)
    assert both.key_id(both.seal(RECORD, PLAINTEXT).encode()) == both.key_ids[0]


def test_a_record_is_opened_once_and_opened_again_when_it_was_sealed_anew(vault: Vault, sealed: bytes) -> None:
    parsed: list[bytes] = []

    def parse(plaintext: bytes) -> str:
        parsed.append(plaintext)
        return plaintext.decode()

    assert [vault.opened(RECORD, sealed, parse) for _ in range(2)] == [PLAINTEXT.decode()] * 2
    assert len(parsed) == 1
    anew = vault.seal(RECORD, b"another").encode()
    assert vault.opened(RECORD, anew, parse) == "another"


def test_what_was_opened_for_one_record_does_not_open_for_another(vault: Vault, sealed: bytes) -> None:
    vault.opened(RECORD, sealed, bytes.decode)
    for _ in range(2):
        with pytest.raises(KeyMissing):
            vault.opened("zis:{globex}:grant", sealed, bytes.decode)
