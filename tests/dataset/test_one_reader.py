"""Everything that reads a mined dataset refuses the same damage with the same words."""

import shutil
import tarfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from jobs import export, inspect
from pipeline.demo.measures import mined_rows
from pipeline.errors import UserError
from pipeline.regions.clip_input import ClipInput
from pipeline.report.dataset import write_dataset_report
from pipeline.training.loader import validation_loader
from pipeline.training.samples import DataConfig, select_samples
from tests.report.made_dataset import make_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder / "mined", ["dog", "cat", "hat", "tree", "sky"], shards=2, images_per_shard=3)
    return folder / "mined"


@pytest.fixture
def dataset(made, tmp_path) -> Path:
    """A copy to damage, of whose files no `dataset.json` has the checksums."""
    copy = Path(shutil.copytree(made, tmp_path / "mined"))
    (copy / "dataset.json").unlink(missing_ok=True)
    return copy


def train(dataset: Path, to: Path) -> None:
    """Select the samples and read every one of them."""
    config = DataConfig(held_out_share=1.0, loaders=0)
    samples = select_samples(str(dataset), config)
    list(
        validation_loader(
            samples,
            config,
            ClipInput(size=8),
            max_regions=10**6,
            batch_size=4,
        )
    )


def exported(kind: str) -> Callable[[Path, Path], int]:
    def run(dataset: Path, to: Path) -> int:
        arguments = [str(dataset), "--format", kind, "--to", str(to / "exported")]
        if kind == "fiftyone":
            (to / "photos").mkdir()
            for shard, image in product(range(2), range(3)):
                (to / "photos" / f"{shard}-{image}.jpg").touch()
            arguments += ["--images", str(to / "photos")]
        return export.main(arguments)

    return run


READERS: dict[str, Callable[[Path, Path], object]] = {
    "status": lambda dataset, to: inspect.main([str(dataset)]),
    "verify": lambda dataset, to: inspect.main([str(dataset), "--verify"]),
    "report": lambda dataset, to: write_dataset_report(str(dataset), str(to / "page.html")),
    "train": train,
    "demo": lambda dataset, to: mined_rows(dataset),
    "coco": exported("coco"),
    "datasets": exported("datasets"),
    "fiftyone": exported("fiftyone"),
}


def said_by(reader: str, dataset: Path, to: Path, capsys: pytest.CaptureFixture) -> str:
    """What a user is told."""
    capsys.readouterr()
    try:
        READERS[reader](dataset, to)
    except UserError as error:
        return str(error)
    said = capsys.readouterr()
    return said.out + said.err


def change_manifest(dataset: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    path = dataset / "manifests" / "000001.parquet"
    pq.write_table(change(pq.read_table(path)), path)


def change_description(dataset: Path, change: Callable[[dict], object]) -> None:
    description = yaml.safe_load((dataset / "config.yaml").read_text())
    change(description)
    (dataset / "config.yaml").write_text(yaml.safe_dump(description))


def numbers_for_nouns(table: pa.Table) -> pa.Table:
    index = table.schema.get_field_index("noun")
    return table.set_column(index, "noun", pa.array(range(len(table)), pa.int64()))


def rename_member(dataset: Path) -> None:
    """Give the crop of a sample another name of the same length."""
    path = dataset / "shards" / "000001.tar"
    with tarfile.open(path) as tar:
        [member, *_] = [member for member in tar if member.name.endswith(".jpg")]
    content = bytearray(path.read_bytes())
    header = tarfile.TarInfo(member.name.replace(".jpg", ".gif"))
    header.size = member.size
    content[member.offset : member.offset + 512] = header.tobuf(tarfile.USTAR_FORMAT)
    path.write_bytes(content)


def cut_short(dataset: Path) -> None:
    path = dataset / "shards" / "000001.tar"
    path.write_bytes(path.read_bytes()[:700])


ALL = tuple(READERS)
WHOLE_TARS = ("verify", "train")  # which compare a tar with what its manifest says, the others read single samples
MANIFEST = "{dataset}/manifests/000001.parquet"
DAMAGES: dict[str, tuple[Callable[[Path], object], tuple[str, ...], str]] = {
    "no config.yaml": (
        lambda dataset: (dataset / "config.yaml").unlink(),
        ALL,
        "{dataset}: no config.yaml, so nothing that this program has made",
    ),
    "another job": (
        lambda dataset: change_description(dataset, lambda description: description.update(kind="evaluate")),
        ALL,
        "{dataset} was made by python -m jobs.evaluate, so it is no dataset of python -m jobs.mine",
    ),
    "no configuration": (
        lambda dataset: (dataset / "config.yaml").write_text("[1]"),
        ALL,
        "{dataset}/config.yaml is not a configuration of this program",
    ),
    "older version": (
        lambda dataset: change_manifest(dataset, lambda table: table.drop_columns(["noun"])),
        # Its checksums are as good as those of a newer one.
        tuple(name for name in ALL if name not in ("verify", "demo")),
        MANIFEST + " lacks noun: it was written by an older version of this program; mine the dataset again",
    ),
    "no Parquet": (
        lambda dataset: (dataset / "manifests" / "000001.parquet").write_bytes(b"PAR1 PAR1"),
        ALL,
        MANIFEST + " is damaged: ",
    ),
    "wrong type": (
        lambda dataset: change_manifest(dataset, numbers_for_nouns),
        ALL,
        MANIFEST + " is damaged: the column noun has type int64, not string; see python -m jobs.inspect OUTPUT",
    ),
    "no list of files": (
        lambda dataset: change_manifest(dataset, lambda table: table.replace_schema_metadata({})),
        ALL,
        MANIFEST + " is damaged: its metadata has no files; see python -m jobs.inspect OUTPUT --verify",
    ),
    "tar cut short, as a whole": (cut_short, WHOLE_TARS, "shards/000001.tar: 700 bytes instead of "),
    "tar cut short, in a sample": (
        cut_short,
        ("report", "datasets"),
        "{dataset}/shards/000001.tar is damaged: the sample at byte ",
    ),
    "no tar": (lambda dataset: (dataset / "shards" / "000001.tar").unlink(), WHOLE_TARS, "shards/000001.tar: missing"),
    "no tar for a sample": (
        lambda dataset: (dataset / "shards" / "000001.tar").unlink(),
        ("report", "datasets"),
        "{dataset}/shards/000001.tar is damaged: missing; see python -m jobs.inspect OUTPUT --verify",
    ),
    "member missing": (
        rename_member,
        ("report", "datasets", "train"),
        "{dataset}/shards/000001.tar is damaged: the sample at byte 0: 000001-00000-000.jpg is not there; see ",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_same_damage_is_told_in_the_same_words(damage, dataset, tmp_path, capsys):
    change, readers, words = DAMAGES[damage]
    change(dataset)
    expected = words.format(dataset=dataset)
    for reader in readers:
        (tmp_path / reader).mkdir()
        said = said_by(reader, dataset, tmp_path / reader, capsys)
        assert expected in " ".join(said.split()), reader


def test_a_dataset_without_damage_is_read_by_all(dataset, tmp_path, capsys):
    for reader in READERS:
        (tmp_path / reader).mkdir()
        said = said_by(reader, dataset, tmp_path / reader, capsys)
        assert "error" not in said, reader
        assert "damaged:" not in said, reader
