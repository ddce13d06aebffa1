"""What lists prove: which job spec a short name means, and whether a change was made. Asks nobody."""

import json
from dataclasses import dataclass, replace

from service.ground.errors import IntegrationRequired, JobSpecNotFound, ServiceError, ZendeskTimeout, ZendeskUnavailable
from service.job_specs.listing import Answer
from service.zendesk.calls import ReplyLate, ReplyLost
from service.zendesk.zis_registry import JobSpec, SpecName


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a change."""

    job_spec: JobSpec
    is_verified: bool
    """False: Zendesk accepted it, but could not be asked afterwards."""


@dataclass(frozen=True, slots=True)
class Target:
    """The job spec that is to be changed, and what was known of it before."""

    name: SpecName
    """Qualified."""
    listed: tuple[JobSpec, ...] = ()
    """The rows of that name as last listed: one, as a rule; none: not listed, or not looked."""
    remembered: tuple[JobSpec, ...] = ()
    """Of a qualified name, the rows of a list under ten minutes old: good for the activity's words alone."""

    @property
    def known(self) -> tuple[JobSpec, ...]:
        """What is known of the job spec before the change."""
        return self.listed or self.remembered


@dataclass(frozen=True, slots=True)
class SentChange:
    """A change that was sent, and what Zendesk said to it."""

    target: Target
    install: bool
    acknowledged: bool | None
    """None: Zendesk says 404 to an uninstall, or its reply was lost."""
    lost: ServiceError | None = None
    """How its reply was lost; None: it came."""

    def proven_by(self, listed: tuple[JobSpec, ...]) -> Changed | None:
        """Return the change as the rows of its name show it, which were asked for after it; None: they contradict it.

        Raises:
            JobSpecNotFound: there is no such job spec.
        """
        shown = _shown(listed, self.target.listed, self.install)
        if shown is not None and (shown.is_verified or self.acknowledged):
            return shown
        if not listed and not self.install and (self.lost is None or self.target.listed):
            # What an earlier bundle left behind is listed only as long as it is installed.
            if self.acknowledged or self.lost is not None:
                return Changed(self._assumed(), is_verified=True)
            raise JobSpecNotFound("Zendesk knows no job spec of this name.", upstream_status=404)
        return None

    def unlooked(self, failure: ServiceError | None) -> Changed:
        """Return the change where Zendesk could not be asked after it; `failure` says why.

        Raises:
            ServiceError: whether it was made is not known.
        """
        if self.acknowledged:
            return Changed(self._assumed(), is_verified=False)
        raise self.lost or failure or unsettled()

    def contradicted(self) -> ServiceError:
        """Return what it means that Zendesk's list does not show the change."""
        state = "installed" if self.install else "not installed"
        return self.lost or ZendeskUnavailable(
            f"Zendesk took the change, but its list does not show the job spec as {state}. Look again in a moment."
        )

    def _assumed(self) -> JobSpec:
        """Return the job spec as it is after an acknowledged change; what is not known of it is None."""
        install, listed = self.install, self.target.listed
        if listed:
            # Of several rows the one that had to be changed.
            changed = next((row for row in listed if row.installed is not install), listed[0])
            return replace(changed, installed=install, left_over=changed.left_over if install else False)
        return JobSpec(
            name=self.target.name.name,
            integration=self.target.name.integration or "",
            description=None,
            event_source=None,
            event_type=None,
            flow_name=None,
            installed=install,
            uuid=None,
        )


def rows_of(answer: Answer, name: str) -> tuple[JobSpec, ...]:
    """Return the rows of that short name in an answer: one, as a rule; none: not listed."""
    rows = json.loads(array_of(answer))
    return tuple(
        replace(JobSpec.from_row(row, answer.integration), left_over=row.get("left_over"))
        for row in rows
        if row["name"] == name
    )


def rows_of_one(answers: list[Answer], name: str) -> tuple[JobSpec, ...]:
    """Return the rows of a short name in the one integration that has it; none: no integration has.

    Raises:
        IntegrationRequired: several have it.
        ServiceError: an integration that could not be listed may have it.
    """
    found = [rows for answer in answers if (rows := rows_of(answer, name))]
    if len(found) > 1:
        holders = ", ".join(rows[0].integration for rows in found)
        raise IntegrationRequired(f"{name} exists in {holders}. Name one: integration=, or --integration in a command.")
    failure = next((answer.error for answer in answers if answer.list is None and answer.error), None)
    if failure is not None:
        # The one that cannot be listed may hold the name, too.
        raise failure
    return found[0] if found else ()


def array_of(answer: Answer) -> bytes:
    """Return an answer's rows as a JSON array."""
    return b"[" + (answer.list.rows if answer.list else b"") + b"]"


def installed_in(answer: Answer) -> tuple[str, ...]:
    """Return the short names that an answer shows as installed, each once: it is where one of its rows is."""
    return tuple(dict.fromkeys(row["name"] for row in json.loads(array_of(answer)) if row["installed"]))


def is_outcome_unknown(failure: ServiceError) -> bool:
    """Return whether a change that failed like this may have taken effect, so that the list has to settle it."""
    if isinstance(failure, ReplyLost | ReplyLate):
        return True
    # A gateway's 502 or 504 says as little of the effect as no reply at all.
    return isinstance(failure, ZendeskUnavailable) and failure.upstream_status in {502, 504}


def unsettled() -> ZendeskTimeout:
    """Return what it means that there was no time to look."""
    return ZendeskTimeout("There was no time left to see what became of the change. Look at the list in a moment.")


def _shown(listed: tuple[JobSpec, ...], before: tuple[JobSpec, ...], install: bool) -> Changed | None:
    """Return a change as the rows of its name show it; None: they show the opposite.

    A name may be listed several times, while Zendesk takes it for one. It is installed where one of its rows is, and
    uninstalled where none is. Where some are still installed, one that has changed shows that the change was made;
    where none has, the rows neither confirm nor contradict it.
    """
    fitting = [row for row in listed if row.installed is install]
    if not fitting:
        return None
    was_otherwise = {row.uuid for row in before if row.installed is not install}
    turned = next((row for row in fitting if row.uuid in was_otherwise), None)
    is_verified = turned is not None or install or len(fitting) == len(listed)
    return Changed(turned or fitting[0], is_verified)
