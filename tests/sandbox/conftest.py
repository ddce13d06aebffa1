"""One simulator for all these tests, back in its default world for each."""

from collections.abc import Iterator

import pytest

from sandbox.simulator import Simulator
from tests.sandbox.visitor import REDIRECT_URI, Visitor


@pytest.fixture(scope="session")
def running() -> Iterator[Simulator]:
    with Simulator(redirect_uris=[REDIRECT_URI]) as simulator:
        yield simulator


@pytest.fixture
def sim(running: Simulator) -> Simulator:
    running.reset()
    return running


@pytest.fixture
def acme(sim: Simulator) -> Iterator[Visitor]:
    with Visitor(sim, "acme") as visitor:
        yield visitor
