"""The clocks of two service processes, or Zendesk's and ours, differ by a minute, and nobody notices."""

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import time_machine

from tests.faults.zendesk_scene import Answer, Scene, Stage
from tests.faults.zendesk_stages import DIRECT, Theatre
from tests.steps import wait_until

pytestmark = pytest.mark.faults
CLOCKS = Path(__file__).parent / "zendesk_clock"
MINUTE_SECONDS = 60
# Enough callers that both processes are met.
HERD = 12


@pytest.fixture(scope="module", params=[MINUTE_SECONDS, -MINUTE_SECONDS], ids=["ahead", "behind"])
def skewed(request: pytest.FixtureRequest, theatre: Theatre) -> Iterator[Stage]:
    """A service of two processes, one with the right clock and one whose clock is a minute off."""
    clock = {"PYTHONPATH": str(CLOCKS), "CLOCK_AHEAD_SECONDS": str(request.param)}
    with theatre.stage(DIRECT | {"LIST_CACHE_SECONDS": "15"} | clock) as stage:
        yield stage


@pytest.fixture
def scene(skewed: Stage) -> Scene:
    return skewed.connected()


def seen(answers: list[Answer]) -> set[str]:
    return {answer.seen for answer in answers}


def difference_seconds(answers: list[Answer]) -> float:
    """Return by how much the clocks differ of those who answered."""
    instants = [parsedate_to_datetime(answer.headers["Date"]).timestamp() for answer in answers]
    return max(instants) - min(instants)


def let_end_in(scene: Scene, seconds: float) -> None:
    """Let the access token end so many seconds from now by the right clock, here and at Zendesk; negative: it has."""
    end = time.time() + seconds
    with scene.stage.simulator.world.lock:
        for token in scene.account.tokens.values():
            token.expires_at = end
    scene.rewrite(obtained_at=end - 1800, expires_at=end)


def test_both_clocks_answer(scene: Scene) -> None:
    wait_until(lambda: difference_seconds(scene.herd(HERD)) >= MINUTE_SECONDS - 1)


@pytest.mark.parametrize("seconds", [1500, 900])
def test_a_fresh_token_is_fresh_for_both(seconds: float, scene: Scene) -> None:
    let_end_in(scene, seconds)
    assert seen(scene.herd(HERD, fresh=True)) == {"200"}
    assert scene.refreshes() == 0


@pytest.mark.parametrize("seconds", [30, -20, -100], ids=["in-30-s", "20-s-ago", "100-s-ago"])
def test_a_token_about_whose_end_they_differ_is_refreshed_once(seconds: float, scene: Scene) -> None:
    let_end_in(scene, seconds)
    assert seen(scene.herd(HERD, fresh=True)) == {"200"}
    assert scene.refreshes() == 1
    assert seen(scene.herd(HERD, fresh=True)) == {"200"}
    assert scene.refreshes() == 1
    assert scene.standing() == ("connected", None)


def test_both_wait_as_long_as_the_token_endpoint_says(scene: Scene) -> None:
    let_end_in(scene, -100)
    scene.meets({"where": "token", "kind": "http_429", "retry_after": 20})
    herds = [scene.herd(HERD, fresh=True), scene.herd(HERD, fresh=True)]
    assert seen([*herds[0], *herds[1]]) == {"429 rate_limited"}
    assert all(1 <= (answer.retry_after or 0) <= 20 for herd in herds for answer in herd)
    assert scene.refreshes() == 1
    scene.meets()
    scene.end_cool_down()
    assert seen(scene.herd(HERD, fresh=True)) == {"200"}


def test_a_list_kept_by_one_serves_the_other(scene: Scene) -> None:
    asked = scene.lists_asked()
    answers = [*scene.herd(HERD), *scene.herd(HERD)]
    assert seen(answers) == {"200"}
    assert {int(answer.headers["Age"]) for answer in answers} <= set(range(15))
    assert scene.lists_asked() - asked == 1


def test_changes_and_disconnects_are_taken_by_both(scene: Scene) -> None:
    answers = [scene.install() for _ in range(4)]
    assert seen(answers) == {"200"}
    assert all(answer.body["verified"] for answer in answers)
    let_end_in(scene, -20)
    assert scene.disconnect().body == {"revoked": True}
    wait_until(lambda: not scene.tokens_left())


@pytest.mark.parametrize("ahead", [MINUTE_SECONDS, -MINUTE_SECONDS], ids=["ahead", "behind"])
def test_a_zendesk_whose_clock_differs_is_served_all_the_same(ahead: int, mint: Stage) -> None:
    with time_machine.travel(time.time() + ahead, tick=True):
        scene = mint.connected(mint="expiring")
        mints = scene.mints()
        assert seen(scene.herd(fresh=True)) == {"200"}
        assert scene.install().body["verified"] is True
        assert (scene.mints() - mints, scene.refreshes()) == (0, 0)
        scene.expire()
        scene.drop_minted()
        assert seen(scene.herd(fresh=True)) == {"200"}
        assert (scene.mints() - mints, scene.refreshes()) == (1, 1)
        assert scene.standing() == ("connected", None)
        assert scene.disconnect().body == {"revoked": True}
        wait_until(lambda: not scene.tokens_left())
