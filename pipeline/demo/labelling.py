"""Labels of a demo: what people would say of mined pairs, taken from the truth of the drawn scenes."""

import json
from pathlib import Path

import numpy as np

from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.dataset.opening import MinedDataset, open_mined_dataset
from pipeline.dataset.quality import write_quality
from pipeline.demo.places import DemoPlaces
from pipeline.demo.variants import Labelled
from pipeline.proposals.ground_truth import all_annotated
from pipeline.quality.drawing import DrawingColumns, draw_sample
from pipeline.quality.judgements import judge_pairs
from pipeline.quality.label_document import FORMAT, VERSION
from pipeline.quality.labels import digest_manifests
from pipeline.quality.scoring import write_quality_tables

_COLUMNS = ["key", "noun", "image_id", "image_width", "image_height", "mask_rle", "clip_score", "noun_margin"]


def give_p_right(places: DemoPlaces, labels: Labelled) -> None:
    """Have quality tables beside the pairs of visual nouns, from so many labels that the truth gives."""
    if labels == "all":
        write_true_quality(places.mined_visual, places.mined_world)
    else:
        write_quality_tables(str(places.mined_visual), labels=str(ready_labels(places, labels)))


def ready_labels(places: DemoPlaces, count: int) -> Path:
    """The file of so many labels of the pairs of visual nouns, written if it is not there."""
    path = places.labels(count)
    if not path.exists():
        write_labels(places.mined_visual, places.mined_world, count, places.seed, path)
    return path


def write_labels(mined: Path, world: Path, count: int, seed: int, to: Path) -> None:
    """Draw a sample of pairs, as the page does, and write the labels that the truth gives them.

    A pair is right if the object that its region overlaps most is of the category that its noun names. One whose noun
    names nothing in the scene is wrong.
    """
    dataset = open_mined_dataset(str(mined))
    rows, digests = _rows(dataset)
    _, nouns = np.unique([row["noun"] for row in rows], return_inverse=True)
    margins = [np.nan if row["noun_margin"] is None else row["noun_margin"] for row in rows]
    scores = np.array([row["clip_score"] for row in rows], np.float32)
    drawn = draw_sample(DrawingColumns(scores, nouns, np.array(margins, np.float32)), count, seed)
    right = right_pairs(rows, world)
    labels = [
        {
            "key": rows[row]["key"],
            "noun": rows[row]["noun"],
            "stratum": int(stratum),
            "answer": "right" if rows[row]["key"] in right else "wrong",
        }
        for row, stratum in zip(drawn.rows.tolist(), drawn.stratum, strict=True)
    ]
    document = {
        "format": FORMAT,
        "version": VERSION,
        "dataset": {
            "uri": str(mined),
            "fingerprint": dataset.description["fingerprint"],
            "manifests_sha256": digest_manifests(digests),
        },
        "sample": {
            "seed": seed,
            "strata": [{"name": part.name, "pairs": part.pairs, "drawn": part.drawn} for part in drawn.strata],
        },
        "labels": labels,
    }
    storage.write_bytes(str(to), json.dumps(document, indent=1).encode())


def write_true_quality(mined: Path, world: Path) -> None:
    """Quality tables that know the truth: `p_right` is 1 or 0."""
    dataset = open_mined_dataset(str(mined))
    layout = Layout(str(mined))
    for manifest in dataset.manifests(_COLUMNS):
        rows = manifest.table.to_pylist()
        right = right_pairs(rows, world)
        p_right = np.array([row["key"] in right for row in rows], np.float32)
        write_quality(layout, manifest, p_right, {"model": "truth of the drawn scenes"})


def right_pairs(rows: list[dict], world: Path) -> set[str]:
    """The keys of those pairs that are right."""
    judged = judge_pairs(rows, all_annotated(str(world / "panoptic.json")))
    return {found.row["key"] for found in judged if found.correct}


def _rows(dataset: MinedDataset) -> tuple[list[dict], list[str]]:
    """The pairs in the order of the manifests, and the digests of these."""
    rows: list[dict] = []
    digests = []
    for manifest in dataset.manifests(_COLUMNS):
        rows += manifest.table.to_pylist()
        digests.append(str(manifest.sha256))
    return rows, digests
