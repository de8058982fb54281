"""Published figures and the tables with ours."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from pipeline.errors import UserError
from pipeline.evaluation import published
from pipeline.evaluation.datasets import open_dataset
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.table import comparison_table, result_tables


def rendered(table: Table) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    text = console.file.getvalue().replace("┃", "│")
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]


def test_published_rows():
    """Spot checks: first and last rows of the paper's tables, and which of them are starred."""
    assert published.PAPER[-1].miou == {"A-847": 9.0, "PC-459": 12.4, "A-150": 29.6, "PC-59": 55.7, "PAS-20": 94.5}
    assert published.PAPER[3].miou["PC-459"] == 5.2
    assert [row.miou["A-150"] for row in published.TUNING] == [21.8, 26.5, 28.8, 29.6]
    assert [row.miou["A-150"] for row in published.BRANCHES] == [19.6, 14.3, 21.8, 19.6, 25.1, 29.6]
    starred = {row.method for row in published.PAPER + published.SUCCESSORS if row.older_formula}
    assert starred == {"OVSeg", "MAFT"}
    for row in published.PAPER + published.TUNING + published.BRANCHES + published.SUCCESSORS:
        assert row.source
        assert all(0 < figure < 100 for figure in row.miou.values())


def test_every_column_is_a_kind_of_data_set(tmp_path):
    for kind in published.COLUMNS.values():
        with pytest.raises(UserError, match=r"dataset\.root"):
            open_dataset(DatasetConfig(kind, str(tmp_path / "nothing")))


def test_ours_beside_the_published():
    rows = rendered(comparison_table({"my CLIP": {"A-150": 0.2961, "PAS-20": 0.9}, "nothing yet": {}}))
    assert rows[0] == ["method", "backbone", "trained on", "A-847", "PC-459", "A-150", "PC-59", "PAS-20"]
    assert ["OVSeg", "Swin-B, ViT-L/14", "COCO-Stuff-171", "9.0", "12.4*", "29.6", "55.7", "94.5"] in rows
    assert ["SimBaseline", "R101c", "COCO-Stuff-156", "–", "–", "15.3", "–", "74.5"] in rows
    assert rows[-2] == ["my CLIP", "", "", "–", "–", "29.6", "–", "90.0"]
    assert rows[-1] == ["nothing yet", "", "", "–", "–", "–", "–", "–"]
    with pytest.raises(ValueError, match="no such column: ade20k_150"):
        comparison_table({"my CLIP": {"ade20k_150": 0.3}})


def test_tables_of_one_evaluation():
    none = dict.fromkeys(("miou", "miou_gt_or_pred", "fwiou", "macc", "pacc"))
    found = {"miou": 0.75, "miou_gt_or_pred": 0.5, "fwiou": 0.125, "macc": 1.0, "pacc": 0.0}
    scores, regions = result_tables(
        {
            "dataset": {"name": "voc_20/val"},
            "images": 3,
            "scores": {"clip": found, "oracle": none},
            "region_accuracy": {"regions": 7, "top1": 0.5, "top5": 1.0, "mean_per_class": None},
        }
    )
    assert rendered(scores) == [
        ["classes from", "mIoU", "mIoU*", "fwIoU", "mACC", "pACC"],
        ["CLIP's classes", "75.0", "50.0", "12.5", "100.0", "0.0"],
        ["true classes on the proposals", "–", "–", "–", "–", "–"],
    ]
    assert rendered(regions)[1] == ["7", "50.0", "100.0", "–"]
