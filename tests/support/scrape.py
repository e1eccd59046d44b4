"""What a worker serves to Prometheus and to those who start and stop it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client import Metric

_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass(frozen=True)
class Page:
    """An answer."""

    status: int
    text: str

    def json(self) -> dict[str, Any]:
        """Its body."""
        body: dict[str, Any] = json.loads(self.text)
        return body


@dataclass(frozen=True)
class Scrape:
    """What `/metrics` held at one moment."""

    text: str

    def families(self) -> dict[str, Metric]:
        """By name, as they are declared."""
        return {family.name: family for family in text_string_to_metric_families(self.text)}

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the samples with these labels among theirs; None where there is none."""
        found = [
            sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None


def get(base_url: str, path: str, limit_s: float = 15.0) -> Page:
    """One request."""
    try:
        with _open(f"{base_url}{path}", timeout=limit_s) as response:
            return Page(response.status, response.read().decode())
    except urllib.error.HTTPError as error:
        return Page(error.code, error.read().decode())


def scrape(base_url: str) -> Scrape:
    """What is measured now."""
    page = get(base_url, "/metrics")
    assert page.status == 200, page.text
    return Scrape(page.text)
