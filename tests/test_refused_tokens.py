"""A 401: one new token and one repetition, however new the refused one is; and where that is refused too, a wait.

Direct: it is the grant's token, which is refreshed. Mint: it is the integration's, which is minted anew.
"""

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from sandbox.simulator import CLIENT_ID
from service.grants.cool_down import CoolDown
from service.grants.grants import Grants
from service.ground.subdomains import Subdomain
from service.store.store import Store
from tests.conftest import LONGER, MakeAdmin
from tests.operations.console import run
from tests.steps import DIRECT, ORDERS_ONLY, Admin, collaborator, wait_until
from tests.test_settings import make_settings
from tests.workers import at_once, meanwhile

pytestmark = pytest.mark.usefixtures("long_waits")
ACME = Subdomain("acme")
ORDERS = "zis_acme_orders"
SPEC = "zis:acme_orders:job_spec:escalate_vip_order"
REFUSED = {"where": "list", "kind": "http_401_text"}
UNAVAILABLE = (502, "zendesk_unavailable")
# The server's clock cannot be moved, so the ends of its keys are.
_AGE = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 then redis.call('PEXPIRE', key, math.max(left - ARGV[1], 0)) end
end
"""


def outcome(reply: TestResponse) -> tuple[int, str | None]:
    return reply.status_code, (reply.get_json() or {}).get("code")


class Mode:
    """A token mode: how a service in it is set up, and what a new token costs there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings = {**(DIRECT if name == "direct" else ORDERS_ONLY), "LIST_CACHE_SECONDS": "0"}
        self.integration = None if name == "direct" else "acme_orders"
        self.wait = "zis:{acme}:refused:" + ("grant" if name == "direct" else "mint:acme_orders")

    def new_tokens(self, admin: Admin) -> int:
        """Return how often Zendesk was asked for a new token."""
        if self.name == "direct":
            return len(admin.calls(grant_type="refresh_token"))
        assert admin.calls(grant_type="refresh_token") == []
        return len(admin.calls("/api/v2/oauth/tokens", method="POST"))

    def wait_seconds(self, redis: Redis) -> float:
        return max(0, int(redis.pttl(self.wait))) / 1000


@pytest.fixture(params=["direct", "mint"])
def mode(request: pytest.FixtureRequest) -> Mode:
    return Mode(request.param)


@pytest.fixture
def admin(mode: Mode, make_admin: MakeAdmin) -> Admin:
    """Acme's admin, connected, on a service that keeps no lists; whose list was asked for, and nothing since."""
    person = make_admin(**mode.settings)
    person.connect("acme")
    person.status()
    assert person.list_fresh().status_code == 200
    person.simulator.world.clear_calls()
    return person


def end_token(admin: Admin) -> None:
    """Let Zendesk end the ZIS token of which the service believes that it lives."""
    with admin.simulator.world.lock:
        assert admin.simulator.world.account("acme").expire_access_tokens(ORDERS)


def let_pass(redis: Redis, seconds: float) -> None:
    redis.eval(_AGE, 0, int(seconds * 1000))


# --- a token that Zendesk ends ---


def test_a_token_that_is_ended_seconds_after_its_issue_costs_nobody_an_error_however_often(
    mode: Mode, admin: Admin, make_admin: MakeAdmin
) -> None:
    other = make_admin(**mode.settings)
    other.open_sidebar("acme")
    for times in range(1, 11):
        end_token(admin)
        # A change and a list in turn: the new token has worked for one of them only.
        reply = admin.install(SPEC) if times % 2 else admin.list_fresh()
        assert reply.status_code == 200, (times, reply.text)
        assert mode.new_tokens(admin) == times
        assert other.list_fresh().status_code == 200


def test_a_herd_with_a_token_that_is_ended_again_and_again_sees_no_error(
    mode: Mode, admin: Admin, make_admin: MakeAdmin
) -> None:
    both = [admin, make_admin(**mode.settings)]
    headers = {"Authorization": f"Bearer {admin.session_token}"}
    for times in range(1, 4):
        end_token(admin)
        replies = at_once(
            8, lambda number: both[number % 2].app.test_client().get("/api/v1/job_specs", headers=headers)
        )
        assert {reply.status_code for reply in replies} == {200}
        assert mode.new_tokens(admin) == times


# --- a 401 that stays ---


def test_a_401_that_stays_costs_five_new_tokens_in_half_a_minute_and_two_or_three_a_minute_later(
    mode: Mode, admin: Admin, make_admin: MakeAdmin, redis: Redis
) -> None:
    both = [admin, make_admin(**mode.settings)]
    both[1].open_sidebar("acme")
    admin.meets(REFUSED)
    now, asked_at = 0.0, list[float]()
    while now < 150:
        for person in both:
            reply = person.list_fresh()
            assert outcome(reply) == UNAVAILABLE
            assert reply.get_json()["upstream_status"] == 401
            assert 0 <= reply.get_json()["retry_after"] - mode.wait_seconds(redis) <= 20
            asked_at += [now] * (mode.new_tokens(admin) - len(asked_at))
        left = mode.wait_seconds(redis) + 0.001
        let_pass(redis, left)
        now += left / LONGER
    assert len([at for at in asked_at if at < 30]) == 5
    for minute in (30, 90):
        assert 2 <= len([at for at in asked_at if minute <= at < minute + 60]) <= 3
    assert admin.status()["connection"]["state"] == "connected"
    admin.meets()
    assert admin.list_fresh().status_code == 200
    # The one before may be revoked after the answer.
    wait_until(lambda: live(admin) == 1)


def live(admin: Admin) -> int:
    return admin.simulator.world.account("acme").live_tokens()[ORDERS]


def test_a_herd_whose_new_token_is_refused_too_counts_one_failure(
    mode: Mode, admin: Admin, make_admin: MakeAdmin, redis: Redis
) -> None:
    both = [admin, make_admin(**mode.settings)]
    headers = {"Authorization": f"Bearer {admin.session_token}"}
    admin.meets(REFUSED)
    replies = at_once(8, lambda number: both[number % 2].app.test_client().get("/api/v1/job_specs", headers=headers))
    assert {outcome(reply) for reply in replies} == {UNAVAILABLE}
    assert mode.new_tokens(admin) == 1
    assert 0 < mode.wait_seconds(redis) <= 2 * LONGER


def test_a_trial_that_is_noted_after_others_were_refused_the_token_leaves_their_wait_as_it_is(
    mode: Mode, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.grants.cool_down.TRIAL_SECONDS", 100.0)
    integration = mode.integration
    cool_down = CoolDown(Store.from_settings(make_settings(REDIS_URL=redis_url)))
    cool_down.begin_trial(ACME, "first", integration)
    assert mode.wait_seconds(redis) > 2 * LONGER
    cool_down.count_refusal(ACME, "second", "list", integration)
    cool_down.begin_trial(ACME, "second", integration)
    assert 0 < mode.wait_seconds(redis) <= 2 * LONGER
    # Nor does it begin once that wait is over.
    redis.delete(mode.wait)
    cool_down.begin_trial(ACME, "second", integration)
    assert mode.wait_seconds(redis) == 0


def test_while_a_new_token_is_tried_nobody_has_it_replaced(mode: Mode, admin: Admin, make_admin: MakeAdmin) -> None:
    other = make_admin(**mode.settings)
    other.open_sidebar("acme")
    # The repetition is held; whoever comes meanwhile is refused at once.
    admin.meets(REFUSED, {"where": "list", "kind": "hold", "every": 2, "times": 1})
    with meanwhile(admin.list_fresh) as listed:
        admin.simulator.world.wait_until_held(1)
        reply = other.list_fresh()
        assert (outcome(reply), reply.get_json()["retry_after"]) == (UNAVAILABLE, 1)
        assert mode.new_tokens(admin) == 1
        admin.simulator.release()
    assert outcome(listed[0]) == UNAVAILABLE
    assert mode.new_tokens(admin) == 1


def test_a_token_that_has_worked_meanwhile_is_replaced_at_once_by_whatever_process(
    mode: Mode, admin: Admin, make_admin: MakeAdmin
) -> None:
    other = make_admin(**mode.settings)
    other.open_sidebar("acme")
    admin.meets(REFUSED | {"times": 2})
    assert outcome(admin.list_fresh()) == UNAVAILABLE
    assert admin.list_fresh().status_code == 200
    end_token(admin)
    assert other.list_fresh().status_code == 200
    assert mode.new_tokens(admin) == 2


def test_what_a_token_has_worked_for_says_nothing_of_other_calls(mode: Mode, admin: Admin, redis: Redis) -> None:
    admin.meets({"where": "change", "kind": "http_401_text"})
    for _ in range(3):
        assert outcome(admin.install(SPEC)) == UNAVAILABLE
        assert admin.list_fresh().status_code == 200
    assert mode.new_tokens(admin) == 1
    assert mode.wait_seconds(redis) > 0


def test_a_new_token_that_is_replaced_before_its_refusal_is_told_begins_no_wait(
    mode: Mode, admin: Admin, redis: Redis
) -> None:
    admin.meets(REFUSED | {"times": 2}, {"where": "list", "kind": "hold", "every": 2, "times": 1})
    with meanwhile(admin.list_fresh) as listed:
        admin.simulator.world.wait_until_held(1)
        # As if somebody had waited for longer than the trial lasts, and had it replaced.
        redis.delete(mode.wait)
        end_token(admin)
        assert admin.install(SPEC).status_code == 200
        admin.simulator.release()
    assert outcome(listed[0]) == UNAVAILABLE
    assert listed[0].get_json()["retry_after"] == 1
    assert redis.keys("zis:{acme}:cool_down*") == []


def test_a_new_token_that_is_refused_once_it_has_worked_for_others_begins_no_wait(
    mode: Mode, admin: Admin, make_admin: MakeAdmin, redis: Redis
) -> None:
    other = make_admin(**mode.settings)
    other.open_sidebar("acme")
    # The first call and its repetition are refused, the repetition only after another caller's success.
    admin.meets(REFUSED | {"times": 1}, {"where": "list", "kind": "hold", "every": 2, "times": 1})
    with meanwhile(admin.list_fresh) as listed:
        admin.simulator.world.wait_until_held(1)
        assert other.list_fresh().status_code == 200
        end_token(admin)
        admin.simulator.release()
    assert outcome(listed[0]) == UNAVAILABLE
    assert listed[0].get_json()["retry_after"] == 1
    assert redis.keys("zis:{acme}:cool_down*") == []
    assert admin.list_fresh().status_code == 200
    assert mode.new_tokens(admin) == 2


def test_connecting_anew_ends_the_waits(mode: Mode, admin: Admin, redis: Redis) -> None:
    admin.meets(REFUSED)
    assert outcome(admin.list_fresh()) == UNAVAILABLE
    admin.meets()
    admin.connect("acme")
    assert redis.keys("zis:{acme}:cool_down*") == []
    assert mode.wait_seconds(redis) == 0


def test_a_failing_token_endpoint_is_waited_out_although_the_token_has_worked(make_admin: MakeAdmin) -> None:
    admin = make_admin(**DIRECT, LIST_CACHE_SECONDS="0")
    admin.connect("acme")
    assert admin.list_fresh().status_code == 200
    end_token(admin)
    admin.meets({"where": "token", "kind": "http_500_text"})
    for _ in range(3):
        assert outcome(admin.list_fresh()) == UNAVAILABLE
    assert len(admin.calls(grant_type="refresh_token")) == 1


# --- what is no refusal of the token ---


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("mismatch", (409, "integration_mismatch")), ("oauth_disabled", (422, "zis_rejected"))],
)
def test_a_401_about_something_else_is_never_answered_by_a_new_token(
    kind: str, expected: tuple[int, str], mode: Mode, admin: Admin
) -> None:
    admin.meets({"where": "list", "kind": kind})
    assert outcome(admin.list_fresh()) == expected
    assert (mode.new_tokens(admin), admin.lists_asked()) == (0, 1)


@pytest.mark.parametrize("authorized_by", ["unknown", "known"])
def test_a_401_outside_the_registry_starts_a_refresh_only_where_the_token_has_read_users(
    authorized_by: str, make_admin: MakeAdmin, redis: Redis
) -> None:
    admin = make_admin(**DIRECT, LIST_CACHE_SECONDS="0")
    if authorized_by == "unknown":
        admin.switch(zis_token_on_api_v2="401")
    admin.connect("acme")
    admin.switch(zis_token_on_api_v2="401")
    for _ in range(3):
        redis.delete("zis:{acme}:role:101")
        assert admin.status()["user"]["role"] is None
        assert admin.list_fresh().status_code == 200
    assert len(admin.calls(grant_type="refresh_token")) == (1 if authorized_by == "known" else 0)


def test_where_users_were_not_readable_what_tokens_are_minted_with_is_refreshed_once_it_is_refused(
    make_admin: MakeAdmin, redis: Redis
) -> None:
    admin = make_admin(**ORDERS_ONLY, LIST_CACHE_SECONDS="0")
    admin.meets({"where": "users", "kind": "http_401_invalid_token"})
    admin.connect("acme")
    assert admin.status()["connection"]["authorized_by"] is None
    with admin.simulator.world.lock:
        admin.simulator.world.account("acme").expire_access_tokens(CLIENT_ID)
    # The question for a role says nothing of the token, the list of clients does.
    for times in range(2):
        redis.delete("zis:{acme}:role:101")
        assert admin.status()["user"]["role"] is None
        assert len(admin.calls(grant_type="refresh_token")) == times
        end_token(admin)
        assert admin.list_fresh().status_code == 200
        assert len(admin.calls(grant_type="refresh_token")) == 1
    # And at the end a dead one is known by the registry's word.
    with admin.simulator.world.lock:
        admin.simulator.world.account("acme").expire_access_tokens(CLIENT_ID)
    redis.delete("zis:{acme}:role:101")
    assert run(admin.app, "disconnect", "acme").status == 0
    assert len(admin.calls(grant_type="refresh_token")) == 2
    assert admin.simulator.world.account("acme").live_tokens() == {}


def test_a_disconnect_forgets_no_grant_whose_new_token_is_refused_too(make_admin: MakeAdmin) -> None:
    admin = make_admin(**ORDERS_ONLY)
    admin.connect("acme")
    admin.status()
    admin.meets({"where": "tokens", "kind": "http_401_invalid_token"})
    assert outcome(admin.disconnect()) == UNAVAILABLE
    assert len(admin.calls(grant_type="refresh_token")) == 1
    assert outcome(admin.disconnect()) == UNAVAILABLE
    assert len(admin.calls(grant_type="refresh_token")) == 1
    assert collaborator(admin.app, Grants).get(ACME) is not None
    admin.meets()
    assert admin.disconnect().get_json() == {"revoked": True}


def test_a_token_without_a_refresh_token_is_used_until_it_is_refused(make_admin: MakeAdmin) -> None:
    admin = make_admin(**DIRECT, LIST_CACHE_SECONDS="0")
    admin.switch(token_lifetime="never")
    admin.connect("acme")
    assert admin.list_fresh().status_code == 200
    end_token(admin)
    assert outcome(admin.list_fresh()) == (409, "authorization_required")
    assert admin.status()["connection"]["reason"] == "not_refreshable"
