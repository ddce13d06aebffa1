"""What a Prometheus server sees at /metrics."""

from collections import Counter

import requests
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

TOKEN = "a-token-for-prometheus-0123456789"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
Series = tuple[str, frozenset[tuple[str, str]]]


class Scrape:
    """One answer of /metrics, by name and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        families = list(text_string_to_metric_families(text))
        samples = [sample for family in families for sample in family.samples]
        self.samples: dict[Series, float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value for sample in samples
        }
        assert len(self.samples) == len(samples), "a series is told twice"

    @classmethod
    def of(cls, browser: FlaskClient) -> "Scrape":
        reply = browser.get("/metrics", headers=AUTHORIZED)
        assert reply.status_code == 200, reply.text
        return cls(reply.text)

    @classmethod
    def at(cls, address: str) -> "Scrape":
        reply = requests.get(f"{address}/metrics", headers=AUTHORIZED, timeout=30)
        assert reply.status_code == 200, reply.text
        return cls(reply.text)

    def value(self, name: str, **labels: str) -> float | None:
        """Return one series' value; None: it is not told."""
        return self.samples.get((name, frozenset(labels.items())))

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the series that have these labels among theirs."""
        return sum(value for (other, pairs), value in self.samples.items() if other == name and labels.items() <= pairs)

    def names(self) -> set[str]:
        return {name for name, _ in self.samples}

    def label_values(self, name: str, label: str) -> set[str]:
        return {dict(pairs)[label] for other, pairs in self.samples if other == name}


class Since:
    """What has been counted since: the values of one process go on through all tests."""

    def __init__(self, browser: FlaskClient) -> None:
        self._browser = browser
        self._before = Scrape.of(browser)

    def counted(self, name: str, **labels: str) -> float:
        """Return by how much the series with these labels have grown."""
        return Scrape.of(self._browser).total(name, **labels) - self._before.total(name, **labels)

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], int]:
        """Return what has grown, by the values of these labels."""
        now, grown = Scrape.of(self._browser), Counter[tuple[str, ...]]()
        for (other, pairs), value in now.samples.items():
            if other == name:
                told = dict(pairs)
                grown[tuple(told[label] for label in labels)] += int(
                    value - self._before.samples.get((other, pairs), 0.0)
                )
        return {values: growth for values, growth in grown.items() if growth}
