"""What a rule is, and what it says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from service.operations.zendesk_app.contents import App


class Fault(NamedTuple):
    """One thing that is wrong."""

    file: str
    advice: str
    """What is wrong, and what to do; a sentence without its full stop."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is looked at before the app is packed."""

    name: str
    check: Callable[[App], Iterator[Fault]]
    refuses: bool = True
    """False: the app is packed all the same, with a warning."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault, and the rule it breaks."""

    rule: str
    file: str
    advice: str

    def to_json(self) -> dict[str, str]:
        """Return it for programs."""
        return {"rule": self.rule, "file": self.file, "advice": self.advice}
