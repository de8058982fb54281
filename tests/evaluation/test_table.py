"""Published figures and the tables with ours."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from pipeline.errors import UserError
from pipeline.evaluation import published
from pipeline.evaluation.datasets import open_dataset
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.evaluation.object_result_tables import object_result_tables
from pipeline.evaluation.panoptic_comparison import PANOPTIC_KINDS, panoptic_figures, panoptic_table
from pipeline.evaluation.published_panoptic import PANOPTIC_COLUMNS
from pipeline.evaluation.table import comparison_table, result_tables


def rendered(table: Table) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    text = console.file.getvalue().replace("┃", "│")
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]


EVERYTHING = (
    published.PAPER
    + published.TUNING
    + published.BRANCHES
    + published.SUCCESSORS
    + published.TRAINING_FREE
    + published.OTHER_SUPERVISION
)


def test_published_rows():
    """Spot checks: first and last rows of the paper's tables, and later rows."""
    assert published.PAPER[-1].miou == {"A-847": 9.0, "PC-459": 12.4, "A-150": 29.6, "PC-59": 55.7, "PAS-20": 94.5}
    assert published.PAPER[3].miou["PC-459"] == 5.2
    assert [row.miou["A-150"] for row in published.TUNING] == [21.8, 26.5, 28.8, 29.6]
    assert [row.miou["A-150"] for row in published.BRANCHES] == [19.6, 14.3, 21.8, 19.6, 25.1, 29.6]
    sed = [row.miou for row in published.SUCCESSORS if row.method.startswith("SED") and row.backbone == "ConvNeXt-L"]
    assert [list(miou.values()) for miou in sed] == [[13.7, 22.1, 35.3, 60.9, 96.1], [13.9, 22.6, 35.2, 60.6, 96.1]]
    assert published.OTHER_SUPERVISION[0].miou == {"A-847": 13.8, "PC-59": 60.8}
    for row in EVERYTHING:
        assert all((row.method, row.backbone, row.training_data, row.source, row.miou))
        assert all(0 < figure < 100 for figure in row.miou.values())
    assert len({(row.method, row.backbone, row.training_data, row.source) for row in EVERYTHING}) == len(EVERYTHING)


def test_formulas_of_pascal_context_459():
    """Every figure has one, by what the authors' evaluation code divides; nothing else has."""
    for row in EVERYTHING:
        assert (row.formula is not None) == ("PC-459" in row.miou)
    by_formula = {
        formula: {row.method for row in EVERYTHING if row.formula is formula} for formula in published.Formula
    }
    assert by_formula[published.Formula.GROUND_TRUTH_OR_PREDICTED] == {
        "OVSeg",
        "ODISE",
        "MAFT",
        "MAFT+",
        "Mask-Adapter on MAFT+",
        "CorrCLIP",
        "CorrCLIPv2",
    }
    unknown = {(row.method, row.backbone) for row in EVERYTHING if row.formula is published.Formula.UNKNOWN}
    assert {method for method, _ in unknown} == {"LSeg+", "OpenSeg", "CAT-Seg", "Turbo-Seg"}
    assert {backbone for method, backbone in unknown if method == "CAT-Seg"} == {"SigLIP 2 L/16"}


def test_crops_are_of_the_two_stage_methods():
    cropping = {row.method for row in published.PAPER + published.SUCCESSORS + published.TRAINING_FREE if row.crops}
    assert cropping == {"OVSeg", "SimBaseline", "ZegFormer"}
    assert all(row.crops for row in published.TUNING)
    assert [row.crops for row in published.BRANCHES] == [False, True, True, False, True, True]


def test_every_column_is_a_kind_of_data_set(tmp_path):
    for kind in published.COLUMNS.values():
        with pytest.raises(UserError, match=r"dataset\.root"):
            open_dataset(DatasetConfig(kind, str(tmp_path / "nothing")))


def test_ours_beside_the_published():
    rows = rendered(comparison_table({"my CLIP": {"A-150": 0.2961, "PAS-20": 0.9}, "nothing yet": {}}))
    assert rows[0] == ["method", "backbone", "trained on", "A-847", "PC-459", "A-150", "PC-59", "PAS-20"]
    assert ["OVSeg †", "Swin-B, ViT-L/14", "COCO-Stuff-171", "9.0", "12.4*", "29.6", "55.7", "94.5"] in rows
    assert ["SimBaseline †", "R101c", "COCO-Stuff-156", "–", "–", "15.3", "–", "74.5"] in rows
    assert ["OpenSeg", "R101", "COCO Panoptic", "4.0", "6.5?", "15.3", "36.9", "60.0"] in rows
    assert ["FC-CLIP", "ConvNeXt-L", "COCO Panoptic", "14.8", "18.2", "34.1", "58.4", "95.4"] in rows
    assert ["CorrCLIP", "ViT-L/14, SAM 2 masks", "none", "–", "–", "30.7", "50.8", "91.5"] in rows
    assert rows[-2] == ["my CLIP", "", "", "–", "–", "29.6", "–", "90.0"]
    assert rows[-1] == ["nothing yet", "", "", "–", "–", "–", "–", "–"]
    with pytest.raises(ValueError, match="no such column: ade20k_150"):
        comparison_table({"my CLIP": {"ade20k_150": 0.3}})


def test_what_is_comparable_stands_below_in_a_line():
    console = Console(file=io.StringIO(), width=160)
    console.print(comparison_table({}))
    line, *marks = console.file.getvalue().partition("Comparable: ")[2].splitlines()
    for word in ("training data", "†", "PC-459 in formula", "no masks"):
        assert word in line
    for mark in ("*", "?", "†"):
        assert f"{mark} " in " ".join(marks)


def test_tables_of_one_evaluation():
    none = dict.fromkeys(("miou", "miou_gt_or_pred", "fwiou", "macc", "pacc"))
    found = {"miou": 0.75, "miou_gt_or_pred": 0.5, "fwiou": 0.125, "macc": 1.0, "pacc": 0.0}
    scores, regions = result_tables(
        {
            "dataset": {"name": "voc_20/val"},
            "images": 3,
            "scores": {"clip": found, "oracle": none},
            "region_accuracy": {"regions": 7, "top1": 0.5, "top5": 1.0, "mean_per_class": None},
            "box_accuracy": {"regions": 7, "top1": 0.25, "top5": 1.0, "mean_per_class": 0.5},
        }
    )
    assert rendered(scores) == [
        ["classes from", "mIoU", "mIoU*", "fwIoU", "mACC", "pACC"],
        ["CLIP's classes", "75.0", "50.0", "12.5", "100.0", "0.0"],
        ["true classes on the proposals", "–", "–", "–", "–", "–"],
    ]
    assert rendered(regions)[1:] == [
        ["masked", "7", "50.0", "100.0", "–"],
        ["in their boxes", "7", "25.0", "100.0", "50.0"],
    ]


def test_published_quality_of_objects_beside_ours():
    result = {
        "scores": {"clip": {"miou": 0.3}, "fused": {"miou": 0.35}},
        "panoptic": {"clip": {"all": {"pq": 0.2, "sq": 0.7, "rq": None}}},
        "instances": {"fused": {"ap": 0.125}},
    }
    assert panoptic_figures(result) == {"PQ": 0.2, "SQ": 0.7, "AP": 0.125, "mIoU": 0.35}
    rows = rendered(panoptic_table("ade20k_150_panoptic", {"my [CLIP]": panoptic_figures(result)}))
    assert rows[0] == ["method", "backbone", "trained on", "PQ", "SQ", "RQ", "AP", "mIoU"]
    assert ["FC-CLIP", "ConvNeXt-L", "COCO Panoptic", "26.8", "71.6", "32.3", "16.8", "34.1"] in rows
    assert not any("SAM 3" in row for row in rows)
    assert rows[-1] == ["my [CLIP]", "", "", "20.0", "70.0", "–", "12.5", "35.0"]
    assert ["SAM 3", "Perception Encoder", "SA-Co", "48.5"] in rendered(panoptic_table("lvis_v1", {}))
    assert set(PANOPTIC_KINDS.values()) == set(PANOPTIC_COLUMNS)


def test_tables_of_objects():
    quality = {"pq": 0.5, "sq": 0.75, "rq": 2 / 3, "classes": 2}
    nothing = {"pq": None, "sq": None, "rq": None, "classes": 0}
    result = {
        "panoptic": {"clip": {"all": quality, "things": quality, "stuff": nothing}},
        "instances": {"oracle": {"ap": 1.0, "ap50": 1.0, "ap75": 1.0, "ap_small": None, "ap_rare": 0.125}},
        "objects": {"segments_without_pixels": 3, "segments_of_other_area": 0},
    }
    panoptic, masks = map(rendered, object_result_tables(result))
    assert panoptic == [
        ["classes from", "PQ", "SQ", "RQ", "PQ things", "PQ stuff"],
        ["CLIP's classes", "50.0", "75.0", "66.7", "50.0", "–"],
    ]
    assert masks == [
        ["classes from", "AP", "AP50", "AP75", "small", "rare"],
        ["true classes on the proposals", "100.0", "100.0", "100.0", "–", "12.5"],
    ]
    result["intervals"] = {"panoptic": {"clip": {"all": {"pq": [0.45, 0.551], "sq": None}}}}
    [panoptic, _] = map(rendered, object_result_tables(result))
    assert panoptic[1:] == [
        ["CLIP's classes", "50.0", "75.0", "66.7", "50.0", "–"],
        ["", "45.0–55.1", "", "", "", ""],
    ]
    [table, _] = object_result_tables(result)
    assert "3 true segments without a pixel" in table.caption
    assert object_result_tables({}) == []
