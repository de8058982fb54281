"""What is known of leaks beside a mined dataset or a training run: `leakage/NAME.parquet`, read without trust."""

import re
from collections.abc import Collection
from dataclasses import dataclass, fields

import pyarrow as pa
import pyarrow.compute as pc

import schemas
from pipeline import storage
from pipeline.dataset.checked_tables import read_checked_table
from pipeline.dataset.layout import COMPARISON, LEAKAGE
from pipeline.duplicates.leakage import About, Leakage
from pipeline.storage.documents import damaged, parse_json
from pipeline.storage.uris import join


@dataclass(frozen=True)
class EvaluatedLeaks:
    """What one comparison says of the images of an evaluation."""

    name: str
    checked: int
    """Evaluated images that were compared with the mined ones: their files are the same ones."""
    copies: int
    """Those of them that mined images are copies of."""

    def __str__(self) -> str:
        """One line for the terminal."""
        return (
            f"{self.copies} of the evaluated images are copies of images that the CLIP's pairs were mined from "
            f"(leakage {self.name}, in which {self.checked} of the evaluated images were compared)"
        )


def known_leaks(output: str) -> list[Leakage]:
    """All comparisons that stand beside an output, sorted by name; [] where there are none.

    Raises:
        UserError: one of them is damaged.
        OSError: storage cannot be read.
    """
    names = storage.list_names(join(output, LEAKAGE))
    found = sorted(name.removesuffix(".parquet") for name in names if re.fullmatch(rf"{COMPARISON}\.parquet", name))
    return [_read(join(output, LEAKAGE, f"{name}.parquet"), name) for name in found]


def training_leaks(leaks: Collection[Leakage], keys: pa.ChunkedArray, manifest_sha256: str) -> dict[str, dict]:
    """By name what the result of a training run says of a comparison.

    Args:
        keys: of the training samples.
        manifest_sha256: of the dataset, as `Samples` has it.

    Returns:
        `against`, `distance`, `images` and `copies` (of `against`), `training_pairs` that were cut from copies, and
        `of_this_dataset`: whether the comparison was made of the shards as they are.
    """
    images = pc.replace_substring_regex(keys, "-[0-9]+$", "")
    found = {}
    for leak in leaks:
        leaked = leak.copies["mined_key"].drop_null().combine_chunks()
        found[leak.name] = {
            "against": leak.about.against,
            "distance": leak.about.distance,
            "images": leak.about.images,
            "copies": leak.leaked,
            "training_pairs": pc.sum(pc.is_in(images, value_set=leaked)).as_py() or 0,
            "of_this_dataset": leak.about.manifest_sha256 == manifest_sha256,
        }
    return found


def evaluated_leaks(leaks: Collection[Leakage], sha256s: Collection[str]) -> list[EvaluatedLeaks]:
    """What comparisons say of the images of an evaluation; those that looked at none of them are left out.

    Args:
        sha256s: of the files of the evaluated images, one each.
    """
    evaluated = pa.array(sha256s, pa.string())
    found = []
    for leak in leaks:
        checked = pc.sum(pc.is_in(evaluated, value_set=leak.table["image_sha256"].combine_chunks())).as_py() or 0
        copies = pc.sum(pc.is_in(evaluated, value_set=leak.copies["image_sha256"].combine_chunks())).as_py() or 0
        if checked:
            found.append(EvaluatedLeaks(leak.name, checked, copies))
    return found


def _read(uri: str, name: str) -> Leakage:
    table = read_checked_table(uri)
    if not table.schema.equals(schemas.LEAKAGE):
        raise damaged(uri, "its columns are not those of a comparison")
    values = parse_json((table.schema.metadata or {}).get(b"about", b"{}"), uri)
    kinds = {field.name: field.type for field in fields(About)}
    if values.keys() != kinds.keys() or not all(type(values[key]) is kind for key, kind in kinds.items()):
        raise damaged(uri, "its metadata does not say what was compared")
    return Leakage(name, About(**values), table)
