"""What the page of evaluations says of objects, of intervals, and of mined pairs."""

import json
import re
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy.stats import spearmanr

from jobs.inspect import main as inspect
from pipeline.evaluation.average_precision import RECALLS, FoundInstances, mean_curves
from pipeline.microworld.categories import NAMES
from pipeline.report.evaluation import write_evaluation_report
from pipeline.report.evaluation.intervals import interval_chart
from pipeline.report.evaluation.objects import object_class_rows, precision_rows, quality_rows
from pipeline.report.evaluation.reading import EvaluatedModel, read_evaluations
from pipeline.report.evaluation.vocabulary import confusion_groups, join_vocabulary, rank_correlation
from pipeline.report.figures_with_intervals import count_scatter, interval_bars
from tests.report.made import HOSTILE, made_evaluation
from tests.report.made_dataset import make_dataset


@pytest.fixture(scope="module")
def evaluated(world, tmp_path_factory) -> str:
    """With objects. Tests only read it."""
    return str(made_evaluation(world, tmp_path_factory.mktemp("evaluated") / "it", 0.3, objects=True))


@pytest.fixture(scope="module")
def model(evaluated) -> EvaluatedModel:
    [model] = read_evaluations({"it": evaluated})
    return model


def test_quality_by_class_as_a_query_says(evaluated, model):
    expected = duckdb.sql(
        f"""
        SELECT label, sum(iou) / (sum(tp) + sum(fp) / 2 + sum(fn) / 2)
        FROM '{evaluated}/panoptic/*.parquet' GROUP BY label
        """
    ).fetchall()
    rows = object_class_rows(model)
    assert {row["label"]: row["pq"] for row in rows} == {label: pytest.approx(pq) for label, pq in expected}
    assert [row["pq"] for row in rows] == sorted(row["pq"] for row in rows)
    for row in rows:
        if row["pq_low"] is not None:
            assert row["pq_low"] <= row["pq"] <= row["pq_high"]
    kinds = {row["kind"]: row["pq"] for row in quality_rows([model]) if row["main"]}
    assert kinds["all"] == pytest.approx(np.mean([row["pq"] for row in rows]))
    assert kinds["things"] == pytest.approx(np.mean([row["pq"] for row in rows if row["thing"]]))
    assert [row["figures"][0] for row in precision_rows([model])] == [
        found["ap"] for found in model.result["instances"].values()
    ]


def test_the_area_below_the_mean_curve_is_the_average_precision():
    # Of two objects the best detection finds one, the third the other at half the thresholds.
    found = FoundInstances(
        np.zeros(3, np.int32), np.array([0.9, 0.8, 0.7], np.float32),
        np.array([[1023], [0], [31]], np.uint16), np.zeros((3, 1), np.uint16),
    )  # fmt: skip
    curves = mean_curves(found, np.array([2]))
    halves = np.where(RECALLS <= 0.5, 1.0, 2 / 3)
    assert curves[0] == pytest.approx(halves)
    assert curves[9] == pytest.approx(np.where(RECALLS <= 0.5, 1.0, 0.0))


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 6, 40)  # with ties
    values = pairs + rng.normal(0, 3, 40)
    found = rank_correlation("iou", pairs, values)
    assert found.rho == pytest.approx(spearmanr(pairs, values).statistic)
    assert -1 <= found.low < found.rho < found.high <= 1
    # Fisher's transformation, of normal values: a check of the width, not of the last digit.
    half = 1.96 / np.sqrt(len(pairs) - 3)
    low, high = np.tanh(np.arctanh(found.rho) + np.array([-half, half]))
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.12)
    assert np.isnan(rank_correlation("iou", pairs[:2], values[:2]).rho)
    assert np.isnan(rank_correlation("iou", np.ones(5, int), values[:5]).rho)


def test_confusions_by_pairs_share_out_every_pixel(model):
    rng = np.random.default_rng(1)
    pairs = dict(enumerate(rng.choice([0, 5, 50, 5000], len(NAMES)).tolist()))
    rows = confusion_groups(model, pairs)
    assert [row["pairs"] for row in rows] == ["0", "1 to 9", "10 to 99", "1,000 and more"]
    for row in rows:
        assert sum(row[kind] for kind in ("right", "more", "as_many", "fewer", "none")) == pytest.approx(1)
    scores = model.scores("clip")
    assert sum(row["classes"] for row in rows) == len(scores)
    of_none = [label for label in scores if pairs[label] == 0]
    pixels = sum(scores[label]["pixels"] for label in of_none)
    right = sum(scores[label]["pixels"] * scores[label]["accuracy"] for label in of_none)
    assert rows[0]["right"] == pytest.approx(right / pixels)
    assert rows[0]["fewer"] == rows[-1]["more"] == 0


def test_the_page_with_all_sections(evaluated, tmp_path, capsys):
    mined = tmp_path / "<img src=x>"
    make_dataset(mined, [*NAMES[:5], HOSTILE], shards=1, images_per_shard=8)
    assert inspect(["report", evaluated, "--mined", str(mined), "--output", str(tmp_path / "page")]) == 0
    html = Path(capsys.readouterr().out.strip()).read_text()
    for said in ("PQ and AP by class", "Precision and recall", "How certain the figures are", "IoU by mined pairs"):
        assert said in html
    assert "&lt;img src=x&gt;" in html
    assert "<img src=x>" not in html
    assert HOSTILE not in html
    [model] = read_evaluations({"it": evaluated})
    joined = join_vocabulary(model, str(mined))
    rows = duckdb.sql(f"SELECT noun, count(*) FROM '{mined}/manifests/*.parquet' GROUP BY noun").fetchall()
    counts = dict(rows)
    for row in joined.classes:
        assert row.pairs == counts.get(row.name, 0)
    assert joined.pairs == sum(counts.values())
    assert inspect(["report", str(mined), "--mined", str(mined)]) == 2
    assert "--mined: pairs are set beside the classes of an evaluation" in capsys.readouterr().err


def test_without_objects_and_without_intervals_there_are_no_such_sections(world, tmp_path):
    output = made_evaluation(world, tmp_path / "it", 0.3, limit=1)
    [model] = read_evaluations({"it": str(output)})
    assert interval_chart([model]) is None or "mIoU" not in str(interval_chart([model]).rows)
    html = Path(write_evaluation_report({"it": str(output)}, str(tmp_path / "page"))).read_text()
    assert 'id="objects"' not in html
    assert 'id="vocabulary"' not in html


@pytest.mark.parametrize(("left_out", "kept"), [("instances", "PQ"), ("panoptic", "AP")])
def test_a_table_of_classes_has_columns_of_what_was_measured(evaluated, tmp_path, left_out, kept):
    output = Path(shutil.copytree(evaluated, tmp_path / "it"))
    result = json.loads((output / "result.json").read_text())
    del result[left_out]
    (output / "result.json").write_text(json.dumps(result))
    html = Path(write_evaluation_report({"it": str(output)}, str(tmp_path / "page"))).read_text()
    table = re.search(r"<h3>(\w+) by class</h3>.*?<thead>(.*?)</thead>\s*<tbody>\s*<tr>(.*?)</tr>", html, re.DOTALL)
    title, head, first_row = table.groups()
    names = re.findall(r"<th[^>]*>([^<]*)</th>", head)
    expected = {"PQ": ["PQ", "95 % interval", "SQ", "RQ", "segments"], "AP": ["AP", "95 % interval", "AP50", "objects"]}
    assert (title, names) == (kept, ["class", "kind", *expected[kept]])
    assert len(re.findall(r"<t[dh]", first_row)) == len(names)


def test_names_in_charts_are_text():
    scatter = count_scatter("a", "b", [HOSTILE], np.array([0]), np.array([1.0]), axes=("c", "d"))
    bars = interval_bars("a", HOSTILE, [HOSTILE], [1.0], [None])
    for chart in (scatter, bars):
        assert "<script>" not in chart.svg
    assert bars.rows == [(HOSTILE, 1.0, "–", "–")]
