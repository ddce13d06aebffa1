"""What machine a run is on, told in its first lines: how long tests take is worth little without."""

import os
import time


def pytest_report_header() -> str:
    """Return the processors, the load of the last minute, and how quick Python is here, now."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return f"machine: {processors()} processors, load {load}, a million additions in {additions_milliseconds():.0f} ms"


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def additions_milliseconds() -> float:
    """Return how long a million additions take; the quickest of three, which other work has delayed least."""

    def once() -> float:
        began = time.perf_counter()
        total = 0
        for number in range(1_000_000):
            total += number
        return time.perf_counter() - began

    return min(once() for _ in range(3)) * 1000
