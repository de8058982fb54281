"""A complete evaluation as its output directory has it, without its data set."""

from dataclasses import dataclass

from pipeline import storage
from pipeline.configuration.described import read_description
from pipeline.dataset.checked_tables import read_checked_table
from pipeline.errors import UserError
from pipeline.evaluation.chunk_tables import ChunkTables, stored_tables
from pipeline.evaluation.datasets.contents import Digests, read_digests
from pipeline.evaluation.datasets.objects import ObjectClasses
from pipeline.evaluation.label_maps import main_branch
from pipeline.evaluation.result import CLASSES, OBJECT_CLASSES, RESULT, read_result


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation has stored."""

    label: str
    uri: str
    result: dict
    """The content of `result.json`."""
    description: dict
    """The content of `config.yaml`."""
    classes: list[str]
    """First names, by label."""
    objects: ObjectClasses | None
    """None: things are not told apart."""
    tables: ChunkTables
    images: list[str]
    """Ids, sorted."""
    digests: Digests
    """Of the images' files; empty in evaluations of earlier versions."""

    @property
    def branches(self) -> dict[str, str]:
        """By part of `result.json` that has branches: the one that stands for the evaluation."""
        return {
            part: main_branch(self.result[part])
            for part in ("scores", "panoptic", "instances")
            if main_branch(self.result.get(part, {})) in self.result.get(part, {})
        }


def read_evaluated(label: str, uri: str) -> Evaluated:
    """Read an evaluation.

    Raises:
        UserError: it is not complete, or damaged.
        OSError: storage cannot be read.
    """
    try:
        result = read_result(uri)
    except FileNotFoundError:
        raise UserError(f"{uri} holds no complete evaluation ({RESULT})") from None
    tables = stored_tables(uri)
    rows = {row["label"]: row for row in read_checked_table(storage.join(uri, CLASSES), ["label", "name"]).to_pylist()}
    objects = None
    if "panoptic" in result or "instances" in result:
        columns = ["label", "name", "thing", "frequency"]
        rows = {row["label"]: row for row in read_checked_table(storage.join(uri, OBJECT_CLASSES), columns).to_pylist()}
        frequencies = [row["frequency"] for _, row in sorted(rows.items())]
        objects = ObjectClasses(
            frozenset(label for label, row in rows.items() if row["thing"]),
            panoptic="panoptic" in result,
            instances="instances" in result,
            frequencies=None if None in frequencies else tuple(frequencies),
        )
    return Evaluated(
        label,
        uri,
        result,
        read_description(uri),
        [rows[label]["name"] for label in sorted(rows)],
        objects,
        tables,
        sorted(tables.read("images")["image_id"].to_pylist()),
        read_digests(uri),
    )
