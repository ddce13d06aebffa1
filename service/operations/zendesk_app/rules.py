"""The table of what is looked at before the app is packed."""

from dataclasses import dataclass

from service.operations.zendesk_app.contents import App
from service.operations.zendesk_app.file_rules import FILE_RULES
from service.operations.zendesk_app.image_rules import IMAGE_RULES
from service.operations.zendesk_app.location_rules import LOCATION_RULES
from service.operations.zendesk_app.manifest_rules import MANIFEST_RULES, READING_RULES
from service.operations.zendesk_app.parameter_rules import PARAMETER_RULES
from service.operations.zendesk_app.rule import Finding, Rule
from service.operations.zendesk_app.translation_rules import TRANSLATION_RULES

# These ask what the manifest says.
_OF_A_READABLE_MANIFEST = (*MANIFEST_RULES, *LOCATION_RULES, *PARAMETER_RULES)
RULES = (*READING_RULES, *_OF_A_READABLE_MANIFEST, *TRANSLATION_RULES, *IMAGE_RULES, *FILE_RULES)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules found."""

    problems: tuple[Finding, ...]
    """For these the app is not packed."""
    warnings: tuple[Finding, ...]
    """The app is packed all the same."""


def judge(app: App) -> Verdict:
    """Return everything the rules find in the app; with an unreadable manifest, what can be said without it."""
    unreadable = any(True for rule in READING_RULES for _ in rule.check(app))
    rules = [rule for rule in RULES if not (unreadable and rule in _OF_A_READABLE_MANIFEST)]
    return Verdict(
        problems=_findings(app, [rule for rule in rules if rule.refuses]),
        warnings=_findings(app, [rule for rule in rules if not rule.refuses]),
    )


def _findings(app: App, rules: list[Rule]) -> tuple[Finding, ...]:
    return tuple(Finding(rule.name, file, advice) for rule in rules for file, advice in rule.check(app))
