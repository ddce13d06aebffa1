"""The app's public key: where it comes from, how long it serves, and what a failing Zendesk or Redis changes."""

import time
from collections.abc import Callable

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import RSAKey
from redis import Redis

from sandbox.simulator import APP_ID, Account, Simulator, public_key_pem
from sandbox.simulator.faults import Fault
from sandbox.simulator.messages import Reply
from service.ground.deadlines import REQUEST_BUDGET_SECONDS, Deadline
from service.ground.subdomains import Subdomain
from service.people.app_keys import (
    AGAIN_SECONDS,
    FAILURE_SECONDS,
    LAST_GOOD_SECONDS,
    LONGEST_PEM,
    YOUNG_SECONDS,
    AppKeys,
)
from service.people.key_fetches import FETCHES_AT_ONCE
from service.store.vault import Vault
from service.zendesk.bulkhead import Bulkhead
from tests.conftest import MakeAdmin
from tests.endpoint import Endpoint
from tests.steps import SECRET_KEYS, Admin, collaborator, wait_until
from tests.workers import at_once

KEY = f"zis:{{acme}}:app_key:{APP_ID}"
PATH = f"/api/v2/apps/{APP_ID}/public_key"


@pytest.fixture
def person(make_admin: MakeAdmin) -> Admin:
    return make_admin()


@pytest.fixture
def acme(simulator: Simulator) -> Account:
    return simulator.world.account("acme")


def pem_of(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def fetches(simulator: Simulator) -> list[str]:
    return [call.path for call in simulator.world.calls(path_contains="public_key")]


def opened(person: Admin, account: str = "acme", *, wrong_key: bool = False) -> int:
    user_id = {"acme": 101, "globex": 201, "initech": 301}[account]
    return person.post_sidebar(person.simulator.sign(account, user_id, wrong_key=wrong_key)).status_code


def test_the_key_is_fetched_once_without_credentials_and_kept(person: Admin) -> None:
    assert [opened(person), opened(person)] == [200, 200]

    calls = person.simulator.world.calls()
    assert [(call.method, call.path, call.token_client) for call in calls] == [("GET", f"{PATH}.pem", None)]


def test_a_configured_key_is_never_fetched(make_admin: MakeAdmin) -> None:
    person = make_admin(ZENDESK_APP_PUBLIC_KEY=public_key_pem().replace("\n", "\\n"))

    assert [opened(person), opened(person, wrong_key=True)] == [200, 401]
    assert fetches(person.simulator) == []


@pytest.mark.parametrize("kind", ["http_404", "html_200", "empty_200", "http_401_text"])
def test_where_the_pem_address_has_no_key_the_other_is_asked(person: Admin, acme: Account, kind: str) -> None:
    acme.faults = [Fault("public_key", kind, times=1)]

    assert opened(person) == 200
    assert fetches(person.simulator) == [f"{PATH}.pem", PATH]


@pytest.mark.parametrize("kind", ["http_404", "html_200", "empty_200", "big_body", "redirect", "http_500_text"])
def test_without_a_key_the_page_cannot_open_and_the_failure_is_remembered(
    person: Admin, acme: Account, kind: str
) -> None:
    acme.faults = [Fault("public_key", kind)]
    assert opened(person) == 502
    asked = len(fetches(person.simulator))
    acme.faults = []

    assert opened(person) == 502
    assert len(fetches(person.simulator)) == asked
    with time_machine.travel(time.time() + FAILURE_SECONDS + 1):
        assert opened(person) == 200


def test_a_process_takes_over_the_key_another_has_fetched(person: Admin, make_admin: MakeAdmin, redis: Redis) -> None:
    assert opened(person) == 200
    person.simulator.world.clear_calls()

    assert opened(make_admin()) == 200
    assert fetches(person.simulator) == []
    assert 0 < redis.pttl(KEY) <= LAST_GOOD_SECONDS * 1000


@pytest.mark.parametrize(
    "plant",
    [lambda value: b"plain" + value, lambda value: value[:-4], None],
    ids=["not sealed", "changed", "another's"],
)
def test_a_key_planted_in_redis_is_not_believed(
    person: Admin, make_admin: MakeAdmin, redis: Redis, plant: Callable[[bytes], bytes] | None
) -> None:
    assert opened(person) == 200
    assert opened(person, "globex") == 200
    value = redis.get(KEY if plant else KEY.replace("acme", "globex"))
    assert isinstance(value, bytes)
    redis.set(KEY, plant(value) if plant else value)
    person.simulator.world.clear_calls()

    assert opened(make_admin()) == 200
    assert fetches(person.simulator) == [f"{PATH}.pem"]


@pytest.mark.parametrize("kind", ["short", "elliptic", "padded"])
def test_a_key_that_cannot_be_trusted_is_none(make_admin: MakeAdmin, kind: str) -> None:
    pem = {
        "short": pem_of(rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()),  # noqa: S505 - that is the point
        "elliptic": pem_of(ec.generate_private_key(ec.SECP256R1()).public_key()),
        "padded": public_key_pem().encode() + b"\n" * LONGEST_PEM,
    }[kind]
    endpoint = Endpoint(Reply(200, pem, "text/plain"))
    try:
        person = make_admin(ZENDESK_URL_TEMPLATE=endpoint.template)
        assert opened(person) == 502
        assert len(endpoint.requests) == 2
    finally:
        endpoint.stop()


def test_after_a_day_the_key_is_fetched_again(person: Admin) -> None:
    assert opened(person) == 200
    with time_machine.travel(time.time() + YOUNG_SECONDS + 1):
        assert [opened(person), opened(person)] == [200, 200]

    assert len(fetches(person.simulator)) == 2


def test_an_old_key_in_redis_is_fetched_again_and_serves_if_that_fails(
    person: Admin, make_admin: MakeAdmin, redis: Redis, acme: Account
) -> None:
    assert opened(person) == 200
    redis.expire(KEY, LAST_GOOD_SECONDS - YOUNG_SECONDS - 5)
    acme.faults = [Fault("public_key", "http_500_text")]
    person.simulator.world.clear_calls()

    assert opened(make_admin()) == 200
    assert fetches(person.simulator) == [f"{PATH}.pem"]


def test_the_last_good_key_serves_for_a_week_while_fetching_fails(person: Admin, acme: Account) -> None:
    now = time.time()
    assert opened(person) == 200
    acme.faults = [Fault("public_key", "http_500_text")]

    with time_machine.travel(now + LAST_GOOD_SECONDS - 60) as clock:
        assert [opened(person), opened(person)] == [200, 200]
        assert len(fetches(person.simulator)) == 2
        clock.shift(120)
        assert opened(person) == 502


def test_a_bad_signature_fetches_the_key_again_at_most_once_a_minute(person: Admin) -> None:
    now = time.time()
    with time_machine.travel(now, tick=False) as clock:
        assert opened(person) == 200
        assert [opened(person, wrong_key=True) for _ in range(3)] == [401, 401, 401]
        assert len(fetches(person.simulator)) == 2
        clock.shift(AGAIN_SECONDS + 1)
        assert opened(person, wrong_key=True) == 401
    assert len(fetches(person.simulator)) == 3


def test_bad_signatures_of_one_account_leave_the_others_fetch_alone(person: Admin) -> None:
    assert opened(person, wrong_key=True) == 401
    assert [opened(person, "globex"), opened(person, "globex", wrong_key=True)] == [200, 401]

    calls = person.simulator.world.calls(path_contains="public_key", account="globex")
    assert len(calls) == 2


def test_a_bad_signature_while_zendesk_fails_is_refused_and_the_good_key_stays(person: Admin, acme: Account) -> None:
    assert opened(person) == 200
    acme.faults = [Fault("public_key", "http_500_text")]

    assert [opened(person, wrong_key=True), opened(person)] == [401, 200]


def test_a_key_that_has_changed_at_zendesk_is_taken_over(make_admin: MakeAdmin, redis: Redis) -> None:
    """Another app's key stands for the former one: the request is signed with the key of today."""
    pem = pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key())
    redis.set(KEY, Vault(tuple(SECRET_KEYS.split(","))).seal(KEY, pem), ex=LAST_GOOD_SECONDS)
    person = make_admin()

    assert opened(person) == 200
    assert fetches(person.simulator) == [f"{PATH}.pem"]


def test_without_redis_the_page_opens(make_admin: MakeAdmin) -> None:
    person = make_admin(REDIS_URL="redis://127.0.0.1:1/0")

    assert [opened(person), opened(person)] == [200, 200]
    assert len(fetches(person.simulator)) == 1


def test_two_hanging_accounts_keep_nobody_out_of_a_third(person: Admin, simulator: Simulator) -> None:
    for name in ("acme", "globex"):
        simulator.world.account(name).faults = [Fault("public_key", "hold", times=1)]
    answers: dict[str, list[int]] = {}

    def open_or_watch(number: int) -> None:
        if number < 2:
            account = ("acme", "globex")[number]
            answers[account] = [opened(Admin(person.app, simulator), account)]
            return
        simulator.world.wait_until_held(2)
        answers["initech"] = [opened(Admin(person.app, simulator), "initech")]
        simulator.release()

    at_once(3, open_or_watch)
    assert answers == {"acme": [200], "globex": [200], "initech": [200]}


def test_sixteen_first_visitors_of_three_accounts_all_get_in(person: Admin, simulator: Simulator) -> None:
    """They come while the keys are being fetched, and the keys are there a moment later."""
    names = ("acme", "globex", "initech")
    for name in names:
        simulator.world.account(name).faults = [Fault("public_key", "hold", times=1)]
    waiting = collaborator(person.app, Bulkhead).unproven_places

    def open_or_release(number: int) -> int:
        if number < 16:
            return opened(Admin(person.app, simulator), names[number % 3])
        simulator.world.wait_until_held(3)
        wait_until(lambda: waiting.taken == 16)
        simulator.release()
        return 200

    assert set(at_once(17, open_or_release)) == {200}
    assert len(fetches(simulator)) == 3


def test_a_key_that_has_changed_is_waited_for_by_whoever_comes_meanwhile(
    make_admin: MakeAdmin, simulator: Simulator, redis: Redis, acme: Account
) -> None:
    pem = pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key())
    redis.set(KEY, Vault(tuple(SECRET_KEYS.split(","))).seal(KEY, pem), ex=LAST_GOOD_SECONDS)
    app = make_admin().app
    waiting = collaborator(app, Bulkhead).unproven_places
    acme.faults = [Fault("public_key", "hold", times=1)]

    def open_or_release(number: int) -> int:
        if number < 4:
            return opened(Admin(app, simulator))
        # Whoever asks counts as waiting before the question is at Zendesk; released earlier, it would be held for good.
        simulator.world.wait_until_held(1)
        wait_until(lambda: waiting.taken == 4)
        simulator.release()
        return 200

    assert set(at_once(5, open_or_release)) == {200}
    assert fetches(simulator) == [f"{PATH}.pem"]


def test_a_key_that_has_changed_is_waited_for_before_it_has_a_place_to_be_fetched(person: Admin) -> None:
    keys, waiting = collaborator(person.app, AppKeys), collaborator(person.app, Bulkhead).unproven_places
    fetched, refused = keys.fetches, RSAKey.generate_key()
    # As other accounts' keys, being fetched.
    others = range(FETCHES_AT_ONCE)
    assert all(fetched._places.take(other) for other in others)

    def ask_or_make_room(number: int) -> RSAKey | None:
        wait_until(lambda: waiting.taken == number)
        if number < 2:
            return keys.fetch_again(Subdomain("acme"), APP_ID, refused, Deadline.after(REQUEST_BUDGET_SECONDS))
        with fetched._changed:
            for other in others:
                fetched._places.give_back(other)
            fetched._changed.notify_all()
        return None

    first, second, _ = at_once(3, ask_or_make_room)
    assert isinstance(first, RSAKey)
    assert first is second
    assert fetches(person.simulator) == [f"{PATH}.pem"]


def test_a_callers_own_hurry_is_not_held_against_the_account(person: Admin, acme: Account) -> None:
    acme.faults = [Fault("public_key", "hold")]
    late = {"X-Request-Start": f"{time.time() - 24:.3f}"}
    token = person.simulator.sign("acme", 101)
    reply = person.browser.post("/sidebar", data={"token": token}, headers=late)
    assert reply.status_code == 504
    acme.faults = []
    acme.release()
    assert opened(person) == 200
