"""Published PQ, AP and mIoU: complete, possible, and in agreement with the table of mIoU."""

import pytest

from pipeline.evaluation.published import SUCCESSORS
from pipeline.evaluation.published_panoptic import PANOPTIC, PANOPTIC_COLUMNS, PublishedPanoptic


@pytest.mark.parametrize("row", PANOPTIC, ids=lambda row: f"{row.method}, {row.backbone}")
def test_figures_are_possible(row: PublishedPanoptic):
    assert all((row.method, row.backbone, row.training_data, row.source, row.figures))
    for dataset, figures in row.figures.items():
        assert figures
        assert set(figures) <= set(PANOPTIC_COLUMNS[dataset])
        assert all(0 < figure < 100 for figure in figures.values())
        if "SQ" in figures:
            # PQ = SQ · RQ of each class, and both are at most 1: so it is in the means.
            assert figures["PQ"] < min(figures["SQ"], figures["RQ"])


def test_spot_checks():
    fc_clip = next(row for row in PANOPTIC if row.method == "FC-CLIP" and row.backbone == "ConvNeXt-L")
    assert fc_clip.figures["ADE20K-150"] == {"PQ": 26.8, "SQ": 71.6, "RQ": 32.3, "AP": 16.8, "mIoU": 34.1}
    assert fc_clip.figures["Cityscapes"]["PQ"] == 44.0
    sam = PANOPTIC[-1]
    assert sam.figures == {"Cityscapes": {"mIoU": 65.2}, "LVIS": {"AP": 48.5}}


def test_same_miou_as_in_the_table_of_miou():
    miou = {(row.method, row.backbone): row.miou for row in SUCCESSORS}
    compared = 0
    for row in PANOPTIC:
        figure = row.figures.get("ADE20K-150", {}).get("mIoU")
        if figure and (row.method, row.backbone) in miou:
            assert figure == miou[row.method, row.backbone]["A-150"]
            compared += 1
    assert compared == 8
