"""What Ray's Prometheus endpoints say."""

import threading
import time
import urllib.request
from collections import defaultdict

import ray
from prometheus_client.parser import text_string_to_metric_families

LIMIT_SECONDS = 60
"""Workers report every ten seconds."""

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


def figure(name: str, **tags: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """The key of a figure of this project: the name without what Ray puts before it, and the tags but `output`."""
    return name, frozenset(tags.items())


def read_figures(output: str) -> Figures:
    """All figures of the job that writes to `output`, summed over nodes and workers."""
    found: Figures = defaultdict(float)
    for node in ray.nodes():
        address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        with urllib.request.urlopen(address, timeout=10) as response:
            text = response.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.removeprefix("ray_ovseg_")
                if name != sample.name and sample.labels["output"] == output:
                    tags = {tag: sample.labels[tag] for tag in ("stage", "reason", "le") if tag in sample.labels}
                    found[figure(name, **tags)] += sample.value
    return dict(found)


def wait_for_figures(output: str, expected: Figures) -> Figures:
    """All figures of a job as soon as the expected ones are there; those that were there last, if they never are."""
    deadline = time.monotonic() + LIMIT_SECONDS
    figures = read_figures(output)
    while not expected.items() <= figures.items() and time.monotonic() < deadline:
        threading.Event().wait(0.5)
        figures = read_figures(output)
    return figures
