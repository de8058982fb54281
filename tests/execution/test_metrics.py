"""What running jobs tell Prometheus, and that the dashboard asks for nothing else."""

import json
import re
import subprocess
import sys

import pytest

from pipeline.execution import metrics
from tests.conftest import REPOSITORY
from tests.ray_metrics import figure, wait_for_figures

WITH_GPUS = """
import logging, ray
from pipeline.execution import metrics
from tests.ray_metrics import figure, wait_for_figures

ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False, logging_level=logging.ERROR)

@ray.remote(num_cpus=0)
def work(stage):
    metrics.stage_done("/out", stage, 10.0)

ray.get([work.options(num_gpus=0.5).remote("matching") for _ in range(3)] + [work.remote("writing")])
expected = {figure("gpu_busy_seconds_total", stage="matching"): 15.0}
expected |= {figure("stage_seconds_count", stage=stage): count for stage, count in (("matching", 3), ("writing", 1))}
figures = wait_for_figures("/out", expected)
assert figures | expected == figures, figures
assert figure("gpu_busy_seconds_total", stage="writing") not in figures
"""


@pytest.mark.parametrize("output", ["/データ/bücher", "/a/ünï cödé", "/odd\udcff", "/\n\t", "x" * 300, "[/]", ""])
def test_no_directory_ends_a_job(ray_cluster, output):
    metrics.shard_committed(output, 3, 4, 5, {"images: größe": 1, "": 2})
    metrics.stage_done(output, "matching", 0.5)
    metrics.steps_done(output, "full", 1, 2, float("nan"))
    metrics.failed(output, "ß")
    [count] = [value for name, value in metrics._tags(output=output).items() if name == "output"]
    assert count.isascii()


@pytest.mark.slow  # Ray tells them every ten seconds
def test_figures_of_a_directory_with_other_letters_are_told(ray_cluster):
    metrics.images_done("/data/bücher 1%", 7)
    assert wait_for_figures("/data/b%C3%BCcher 1%", {figure("images_total"): 7.0}) == {figure("images_total"): 7.0}


def test_nothing_that_goes_wrong_ends_a_job():
    metrics.gpu_busy("/out", "matching", 1.0)  # Ray does not run here, or not in a worker
    metrics.steps_done("/out", None, "many", 1, "low")


@pytest.mark.slow
def test_only_workers_that_hold_gpus_keep_them_busy():
    """Two GPUs that are not there, but Ray believes in them."""
    subprocess.run([sys.executable, "-c", WITH_GPUS], cwd=REPOSITORY, check=True)


def test_the_dashboard_shows_every_figure_and_no_other():
    dashboard = json.loads((REPOSITORY / "cluster" / "grafana.json").read_text())
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["datasource", "output"]
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    asked = set()
    for panel in panels:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["title"]
        for target in panel["targets"]:
            names = re.findall(r"ray_ovseg_(\w+)\{", target["expr"])
            assert names
            assert target["expr"].count('output=~"$output"') == len(names)
            asked.update(names)
    counters = {f"{name}_total" for name in metrics.COUNTERS}
    assert asked == counters | {"stage_seconds_bucket", "training_loss"}
