"""The demo at a size that shows that it runs, not that anything is learnt."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.demo.measures import measure, measure_mining
from pipeline.demo.pages import write_pages
from pipeline.demo.pictures import draw_pictures
from pipeline.demo.runs import DemoRuns
from pipeline.demo.scale import Scale
from pipeline.demo.variants import FULL, PAPER, UNTOUCHED, ablations
from pipeline.microworld.categories import NAMES, THINGS
from pipeline.microworld.groups import draw_groups

TINY = Scale("tiny", pretraining_scenes=32, pretraining_epochs=1, mined_scenes=80, test_scenes=8, epochs=1)


@pytest.fixture(scope="module")
def tiny(ray_cluster: None, tmp_path_factory) -> DemoRuns:
    """Everything but mask prompts."""
    runs = DemoRuns(tmp_path_factory.mktemp("demo"), TINY, seed=3)
    do_everything(runs)
    return runs


def do_everything(runs: DemoRuns) -> None:
    runs.make_worlds()
    runs.pretrain()
    runs.mine()
    runs.adapt(FULL)
    for name in (UNTOUCHED, FULL.name):
        runs.evaluate(name)


@pytest.mark.soak
def test_everything_is_measured(tiny: DemoRuns):
    for name in (UNTOUCHED, FULL.name):
        found = measure(tiny.evaluation(name), tiny.groups)
        assert 0 <= found.accuracy["all"] <= 100
        assert 0 <= found.miou["all"] <= 100
    mining = measure_mining(tiny.mined, tiny.folder / "mined-world")
    assert mining["all"].pairs > 80
    assert mining["things"].judged + mining["grounds"].judged == mining["all"].judged
    assert 0.1 < mining["all"].chance < 0.6
    pictures = draw_pictures(tiny, FULL)
    assert len(pictures) == 6
    assert all(path.stat().st_size > 10_000 for path in pictures)
    page = Path(write_pages(tiny, [FULL]))
    assert all((page.parent / part / "index.html").exists() for part in ("mined", "adapted", "evaluated"))


@pytest.mark.soak
def test_what_is_done_is_not_done_again(tiny: DemoRuns):
    def written() -> dict[Path, int]:
        # Mining writes its summary anew; it says the same.
        files = [path for path in tiny.folder.rglob("*") if path.is_file()]
        return {path: path.stat().st_mtime_ns for path in files if path.parent != tiny.mined}

    before = written()
    do_everything(tiny)
    assert written() == before


def test_figures_of_an_evaluation_by_hand(tmp_path: Path):
    """Two grounds and two things; one of each is recognised."""
    groups = draw_groups(0)
    grounds = [name for name in NAMES if name not in THINGS][:2]
    things = list(THINGS)[:2]
    labels = [NAMES.index(name) for name in (*grounds, *things)]
    regions = pa.table({"image_id": ["1"] * 4, "label": labels, "area": [100] * 4, "rank": [0, 1, 0, 7]})
    rows = [
        {"branch": branch, "name": name, "iou": iou}
        for branch, ious in (("clip", (0.8, 0.2, 0.5, None)), ("true_masks", (1.0, 0.0, 0.5, 0.1)))
        for name, iou in zip((*grounds, *things), ious, strict=True)
    ]
    rows += [
        {"branch": branch, "name": name, "iou": None}
        for branch in ("clip", "true_masks")
        for name in NAMES
        if name not in (*grounds, *things)
    ]
    storage.write_table(regions, str(tmp_path / "regions" / "000000.parquet"))
    storage.write_table(pa.Table.from_pylist(rows), str(tmp_path / "classes.parquet"))
    found = measure(tmp_path, groups)
    assert (found.accuracy["all"], found.accuracy["things"], found.accuracy["grounds"]) == (50, 50, 50)
    assert found.miou["all"] == pytest.approx(50)
    assert found.miou["things"] == pytest.approx(50)
    assert found.true_mask_miou["all"] == pytest.approx(40)
    for group in ("annotated", "captioned", "unnamed"):
        ious = [iou for name, iou in zip((*grounds, *things), (80, 20, 50), strict=False) if groups.of(name) == group]
        assert found.miou[group] == pytest.approx(sum(ious) / len(ious) if ious else float("nan"), nan_ok=True)


def test_variants_have_names_of_their_own():
    variants = [*PAPER, *(variant for found in ablations(0.25).values() for variant in found)]
    assert len({variant.name for variant in variants}) == len({variant.title for variant in variants}) == len(variants)
    assert {variant.start for variant in variants} <= {UNTOUCHED, *(variant.name for variant in variants)}
    assert json.dumps([variant.changes for variant in variants])
