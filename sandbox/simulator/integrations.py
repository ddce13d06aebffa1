"""Integrations of one simulated account: bundles and job specs, as ZIS keeps them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

_NAMESPACE = uuid.UUID("6f1c1c0e-6a53-4b8e-9a55-0f3f5f2f9d11")


# A world of 300 job specs is made again for every test.
@lru_cache(maxsize=4096)
def stable_uuid(text: str) -> str:
    """Return the same uuid for the same text, so that a world looks alike at every start."""
    return str(uuid.uuid5(_NAMESPACE, text))


@dataclass(slots=True)
class JobSpec:
    """One subscription of an integration."""

    integration: str
    name: str
    description: str
    event_type: str
    flow_name: str
    event_source: str = "support"
    installed: bool = False
    armed: bool = False
    """Whether it really fires: a bundle upload silences what was installed until it is installed again."""
    in_bundle: bool = True
    """False: left over from an earlier bundle, still installed and intercepting events (observed)."""
    uuid: str = ""

    def __post_init__(self) -> None:
        self.uuid = self.uuid or stable_uuid(self.qualified_name)
        self.armed = self.installed

    @property
    def qualified_name(self) -> str:
        return f"zis:{self.integration}:job_spec:{self.name}"

    def to_json(self, *, fqn: bool = False) -> dict[str, object]:
        return {
            "name": self.qualified_name if fqn else self.name,
            "description": self.description,
            "event_source": self.event_source,
            "event_type": self.event_type,
            "flow_name": f"zis:{self.integration}:flow:{self.flow_name}" if fqn else self.flow_name,
            "installed": self.installed,
            "integration": self.integration,
            "uuid": self.uuid,
        }


@dataclass(slots=True)
class Integration:
    """One registered integration with its bundle; names are unique over all accounts."""

    name: str
    description: str = ""
    job_specs: list[JobSpec] = field(default_factory=list)

    def find(self, name: str) -> JobSpec | None:
        """Return the job spec of this short name; case matters."""
        return next((spec for spec in self.job_specs if spec.name == name), None)

    def upload_bundle(self, names: Sequence[str] | None = None, *, clear_installed: bool = True) -> None:
        """Upload a bundle: with these job specs, or (None) with the present ones.

        What was installed stops firing until it is installed again; what is missing from the new bundle stays
        installed and keeps intercepting events (observed, undocumented). `clear_installed` tells whether
        `installed` shows that, which is unknown.
        """
        wanted = [spec.name for spec in self.job_specs if spec.in_bundle] if names is None else list(names)
        kept = []
        for spec in self.job_specs:
            if spec.name in wanted:
                spec.in_bundle, spec.armed = True, False
                spec.installed = spec.installed and not clear_installed
                kept.append(spec)
            elif spec.installed:
                spec.in_bundle = False
                kept.append(spec)
        present = {spec.name for spec in kept}
        kept.extend(make_job_spec(self.name, name) for name in wanted if name not in present)
        self.job_specs = kept

    def resize(self, count: int) -> None:
        """Give the integration exactly `count` job specs, keeping the first of the present ones."""
        kept = self.job_specs[:count]
        taken = {spec.name for spec in kept}
        number = 0
        while len(kept) < count:
            number += 1
            name = f"generated_rule_{number:04}"
            if name not in taken:
                kept.append(make_job_spec(self.name, name))
        self.job_specs = kept

    def whole_bundle_json(self, zendesk_account_id: int) -> dict[str, object]:
        """Return the bundle with what it holds, as it is shown by itself."""
        resources: dict[str, object] = {}
        for spec in self.job_specs:
            if spec.in_bundle:
                properties = {
                    "name": spec.name,
                    "description": spec.description,
                    "event_source": spec.event_source,
                    "event_type": spec.event_type,
                    "flow_name": f"zis:{self.name}:flow:{spec.flow_name}",
                }
                resources[f"job_spec_{spec.name}"] = {"type": "ZIS::JobSpec", "properties": properties}
                flow = {"name": spec.flow_name, "definition": {}}
                resources[f"flow_{spec.flow_name}"] = {"type": "ZIS::Flow", "properties": flow}
        return {**self.bundle_json(zendesk_account_id), "resources": resources}

    def bundle_json(self, zendesk_account_id: int) -> dict[str, object]:
        return {
            "uuid": stable_uuid(f"bundle of {self.name}"),
            "name": f"{self.name}_bundle",
            "description": self.description,
            "integration": self.name,
            "zendesk_account_id": zendesk_account_id,
            "zis_template_version": "2019-10-14",
        }


def make_job_spec(integration: str, name: str, event_type: str = "ticket.TicketCreated") -> JobSpec:
    """Return a job spec with a flow of its own, not installed."""
    return JobSpec(integration, name, f"Runs {name.replace('_', ' ')}.", event_type, f"{name}_flow")
