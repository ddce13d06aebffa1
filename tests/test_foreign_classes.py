"""Classes of ours that stand on somebody else's: nothing that we add to one can be the other's own, now or later.

On Python 3.14 `threading.Thread` has a `_context`, and a subclass of ours had one, too: of several integrations a list
held one. So what is private in ours is so by its name (two underscores), or ours has one instead of being one.
"""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator

import pytest

import service

# Whose purpose is that others add members to them.
_OPEN = ("builtins.BaseException", "enum.Enum", "pydantic.main.BaseModel", "_thread._local", "typing.Protocol")
_OPEN_NAMES = frozenset({"Exception", "BaseException", "tuple", "Generic", "Protocol"})
# What we take the place of on purpose, although the other keeps it to himself.
_REPLACED = {
    ("ThreadPool", "_adjust_thread_count"),
    ("ThreadPool", "_max_workers"),
    ("Worker", "_keepalive_after"),
    ("ConnectedFirst", "_put"),
    ("InTime", "_connect"),
    ("ToMaster", "_connect"),
    ("_WatchedHTTPSConnection", "_tunnel"),
    ("_AllocatedDict", "_init_value"),
}
# Started by themselves: importing them does what they are for.
_PROGRAMS = frozenset({"service.wsgi", "sandbox.__main__"})


def classes_of_ours() -> list[type]:
    found = set()
    for module in pkgutil.walk_packages(service.__path__, "service."):
        if module.name in _PROGRAMS:
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(value) and value.__module__ == module.name:
                found.add(value)
    return sorted(found, key=lambda one: (one.__module__, one.__qualname__))


def foreign(kind: type) -> list[type]:
    """Return the classes of others that a class stands on; none where it is made to be added to."""
    others = [base for base in kind.__mro__ if not base.__module__.startswith("service")]
    names = {f"{base.__module__}.{base.__qualname__}" for base in others}
    if names & set(_OPEN) or {base.__name__ for base in others} & _OPEN_NAMES:
        return []
    return [base for base in others if base is not object]


def added(kind: type) -> Iterator[str]:
    """Return the names that a class's own text gives to it and to its objects."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    for inner in ast.walk(tree):
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
            # Of an object that is made by a class method, too.
            owner = inner.value
            if isinstance(owner, ast.Name) and owner.id in {"self", "cls", "context"}:
                yield inner.attr


OURS = [kind for kind in classes_of_ours() if foreign(kind)]


def test_the_classes_in_question_are_found() -> None:
    assert {"Worker", "ServerLog", "ZendeskAdapter", "OperatorCommand", "ThreadPool"} <= {one.__name__ for one in OURS}


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__qualname__)
def test_what_is_private_in_a_class_of_ours_cannot_be_the_others_own(kind: type) -> None:
    private = {name for name in added(kind) if name.startswith("_") and not name.startswith("__")}
    assert private - {name for owner, name in _REPLACED if owner == kind.__name__} == set()
