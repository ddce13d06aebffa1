"""What a check says."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from service.ground.errors import ServiceError
from service.ground.subdomains import Subdomain
from service.operations.console import in_one_line, printable

# FAIL: this release would not work, and whoever releases it can mend that. Everything else is `warn`: a release that
# mends something must not be held up by what is broken already.
Status = Literal["ok", "warn", "FAIL"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer."""

    status: Status
    check: str
    says: str
    """A sentence."""
    advice: str | None = None
    """What to do about it, in sentences; None: nothing, or it is said already."""
    account: Subdomain | None = None
    """None: it is about the service."""

    def line(self) -> str:
        """Return it for people."""
        about = f"{self.account}: {self.check}" if self.account else self.check
        return printable(
            " ".join([f"{self.status:<4}", f"{about}:", self.says, *([self.advice] if self.advice else [])])
        )

    def to_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return asdict(self)


def warning_of(check: str, failure: ServiceError, account: Subdomain | None = None) -> Finding:
    """Return what a failure of the service means for a check: its words hold the next step."""
    return Finding("warn", check, f"{failure.title}. {in_one_line(failure)}", account=account)
