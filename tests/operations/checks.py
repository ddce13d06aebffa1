"""What the doctor says, for tests."""

from typing import Any

from flask import Flask

from tests.operations.console import run

Check = tuple[str, str | None, str]
"""Status, account, and what is checked."""


def examine(app: Flask, *arguments: str) -> list[dict[str, Any]]:
    """Return every check the doctor makes in this process."""
    checks: list[dict[str, Any]] = run(app, "doctor", "--json", *arguments).json()["checks"]
    return checks


def found(checks: list[dict[str, Any]], check: str, account: str | None = None) -> dict[str, Any]:
    """Return the one finding of a check."""
    (one,) = [one for one in checks if (one["check"], one["account"]) == (check, account)]
    return one


def verdict(checks: list[dict[str, Any]], check: str, account: str | None = None) -> tuple[str, str]:
    """Return the status of a check, and everything that it says."""
    one = found(checks, check, account)
    return one["status"], " ".join(filter(None, [one["says"], one["advice"]]))


def trouble(checks: list[dict[str, Any]]) -> set[Check]:
    """Return everything that is not ok, but that the tests' Redis keeps nothing on disk."""
    said = {(one["status"], one["account"], one["check"]) for one in checks if one["status"] != "ok"}
    return said - {("warn", None, "redis persistence")}
