"""How a stored record is written and read, so that the releases before and after can read each other's.

A record is a JSON object with the version of its form. Whoever reads it ignores the members it does not know, and has a
default for most that may be missing; without one of the others the record counts as absent. The first release's records
have no version.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

# Raised when a member changes its meaning or type. A member more or less does not need it.
VERSION = 1

T = TypeVar("T")


class Unreadable(Exception):
    """The record is no JSON object, or lacks a member that nothing can stand for."""


def write(members: Mapping[str, Any]) -> bytes:
    """Return a record as it is stored."""
    return json.dumps({"version": VERSION, **members}, separators=(",", ":")).encode()


def read(stored: bytes) -> dict[str, Any]:
    """Return the members of a record.

    Raises:
        Unreadable: it is no JSON object.
    """
    try:
        members = json.loads(stored)
    except (ValueError, RecursionError):
        raise Unreadable from None
    if not isinstance(members, dict):
        raise Unreadable
    return members


def made(kind: type[T], members: Mapping[str, Any], **defaults: Any) -> T:
    """Return the dataclass of a record; `defaults` stand for members that are missing.

    Raises:
        Unreadable: a member is missing that has no default, here or in the dataclass.
    """
    known: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]  # a dataclass, which no type says
        if field.name in members:
            known[field.name] = members[field.name]
        elif field.name in defaults:
            known[field.name] = defaults[field.name]
        elif field.default is MISSING:
            raise Unreadable
    return kind(**known)
