"""What evaluations have stored, put together for their report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

import schemas
from pipeline import storage
from pipeline.configuration.described import read_description
from pipeline.dataset.checked_tables import read_checked_table
from pipeline.errors import UserError
from pipeline.evaluation.chunk_tables import ChunkTables, chunk_names, stored_tables
from pipeline.evaluation.label_maps import LABEL_MAPS, main_branch
from pipeline.evaluation.result import CLASSES, OBJECT_CLASSES, RESULT, read_result
from pipeline.storage.in_threads import in_threads

Pair = tuple[int, int | None]
"""A true class and the one that its pixels were given; None: no class."""


@dataclass(frozen=True)
class EvaluatedModel:
    """A complete evaluation."""

    label: str
    """What the page calls it."""
    uri: str
    description: dict
    """The content of `config.yaml`."""
    result: dict
    """The content of `result.json`."""
    classes: list[dict]
    """Rows of `schemas.CLASS_SCORES`."""
    confused: dict[Pair, int]
    """Pixels of the main branch that were given another class than theirs."""
    mious: dict[str, float]
    """By image that has labels: the mean IoU of its classes. Empty in evaluations of older versions."""
    objects: list[dict]
    """Rows of `schemas.OBJECT_SCORES` of the way to classify that stands for the evaluation; empty without objects."""
    tables: ChunkTables

    @property
    def branch(self) -> str:
        """The way to classify that stands for the evaluation."""
        return main_branch(self.result["scores"])

    def scores(self, branch: str) -> dict[int, dict]:
        """Rows of the classes that have pixels, by label."""
        return {row["label"]: row for row in self.classes if row["branch"] == branch and row["iou"] is not None}


def read_evaluations(uris: Mapping[str, str]) -> list[EvaluatedModel]:
    """Read evaluations of one data set.

    Args:
        uris: by label.

    Raises:
        UserError: one is not complete, or they are of different data sets.
        OSError: storage cannot be read.
    """
    models = [_read_evaluation(label, uri) for label, uri in uris.items()]
    first = models[0].result["dataset"]
    for model in models[1:]:
        for key in sorted(first.keys() | model.result["dataset"].keys()):
            if first.get(key) != model.result["dataset"].get(key):
                raise UserError(
                    f"{models[0].uri} and {model.uri} evaluate different data: {key} is {first.get(key)} and "
                    f"{model.result['dataset'].get(key)}; compare evaluations of the same images and classes"
                )
        if model.result["images"] != models[0].result["images"]:
            raise UserError(
                f"{models[0].uri} and {model.uri} evaluate {models[0].result['images']} and {model.result['images']} "
                "images of the data set: give both the same limit"
            )
    return models


def _read_evaluation(label: str, uri: str) -> EvaluatedModel:
    try:
        result = read_result(uri)
    except FileNotFoundError:
        raise UserError(f"{uri}: no {RESULT}: the evaluation is not complete; the same command goes on") from None
    branch = main_branch(result["scores"])
    confused: Counter[Pair] = Counter()
    for table in _chunks(uri, "confusion"):
        for row in table.to_pylist():
            if row["branch"] == branch and row["label"] != row["predicted"]:
                confused[row["label"], row["predicted"]] += row["pixels"]
    maps = pa.concat_tables(
        [
            schemas.LABEL_MAPS.empty_table().select(["image_id", "miou"]),
            *(table.select(["image_id", "miou"]) for table in _chunks(uri, LABEL_MAPS)),
        ]
    )
    return EvaluatedModel(
        label,
        uri,
        read_description(uri),
        result,
        read_checked_table(storage.join(uri, CLASSES)).to_pylist(),
        dict(confused),
        {row["image_id"]: row["miou"] for row in maps.to_pylist() if row["miou"] is not None},
        _object_rows(uri, result),
        stored_tables(uri),
    )


def _object_rows(uri: str, result: dict) -> list[dict]:
    if "objects" not in result:
        return []
    rows = read_checked_table(storage.join(uri, OBJECT_CLASSES)).to_pylist()
    branch = main_branch({row["branch"] for row in rows})
    return [row for row in rows if row["branch"] == branch]


def _chunks(uri: str, folder: str) -> list[pa.Table]:
    return list(in_threads(lambda name: read_checked_table(storage.join(uri, folder, name)), chunk_names(uri, folder)))


def read_label_maps(model: EvaluatedModel, image_ids: set[str]) -> dict[str, bytes]:
    """The kept label maps of some images, PNG by image."""
    tables = [table.select(["image_id", "labels"]) for table in _chunks(model.uri, LABEL_MAPS)]
    return {
        row["image_id"]: row["labels"]
        for table in tables
        for row in table.filter(pa.compute.is_in(table["image_id"], pa.array(sorted(image_ids)))).to_pylist()
    }


def default_labels(uris: Sequence[str]) -> dict[str, str]:
    """Evaluations by names: the last parts of their URIs in which they differ, or what stands before `=`.

    Raises:
        UserError: two have the same name.
    """
    labels: dict[str, str] = {}
    given = [uri.partition("=")[::2] if "=" in uri and "/" not in uri.partition("=")[0] else ("", uri) for uri in uris]
    unnamed = {path: storage.absolute(path).rstrip("/").split("/") for label, path in given if not label}
    depth = 1
    while len({"/".join(parts[-depth:]) for parts in unnamed.values()}) < len(set(map(tuple, unnamed.values()))):
        depth += 1
    for label, path in given:
        label = label or "/".join(unnamed[path][-depth:])
        if label in labels:
            raise UserError(f"{path}: two evaluations are called {label!r}; name them, as in before={path}")
        labels[label] = path
    return labels
