"""Datasets of others and damaged ones: what names something outside is refused, and nothing ends with a traceback."""

import json
import os
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
from pipeline.dataset.layout import checked_file, shard_of
from pipeline.errors import UserError
from pipeline.inspection.verify import Damage, repair, verify
from pipeline.training.samples import DataConfig, select_samples
from tests.report.made import made_evaluation, made_run
from tests.report.made_dataset import make_dataset

OUTSIDE = (
    "../victim", "manifests/../../victim", "/etc/passwd", "shards/000000.tar/../../victim", "shards/x.tar", "victim",
    "s3://bucket/shards/000000.tar", "shards/000000.tar\n", "shards\\..\\victim", "report/../../victim", "",
    "README.md", "shards/٠٠٠٠٠٠.tar", "attempts/000000.images.json",
)  # fmt: skip
KEYS = (
    "../../victim", "000000-00000-000/../x", "/tmp/x", "000000-00000-000\n", "x", "", "000000-00000-000.jpg", "..",
    "a\0b",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder / "mined", ["dog", "cat", "[/] [red] hat", "tree", "sky"], shards=2, images_per_shard=3)
    return folder / "mined"


@pytest.fixture
def dataset(made, tmp_path) -> Path:
    """A copy, with something beside it that nobody may touch."""
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "victim.png").write_text("precious")
    return Path(shutil.copytree(made, tmp_path / "mined"))


def change_manifest(dataset: Path, change: Callable[[pa.Table], pa.Table], shard: int = 0) -> None:
    path = dataset / "manifests" / f"{shard:06d}.parquet"
    pq.write_table(change(pq.read_table(path)), path)


def with_files(files: object) -> Callable[[pa.Table], pa.Table]:
    text = files if isinstance(files, bytes) else json.dumps(files).encode()
    return lambda table: table.replace_schema_metadata({**table.schema.metadata, b"files": text})


def with_column(name: str, values: list) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index(name)
        column = [*values, *table[name].to_pylist()[len(values) :]]
        return table.set_column(index, name, pa.array(column, table.schema.field(name).type))

    return change


def untouched(folder: Path, before: set[Path]) -> bool:
    return set(folder.rglob("*")) == before and (folder / "victim").read_text() == "precious"


def commands(dataset: Path, to: Path) -> dict[str, Callable[[], int]]:
    """Everything that reads a dataset, as a user calls it."""
    (to / "photos").mkdir()
    for shard, image in product(range(2), range(3)):
        (to / "photos" / f"{shard}-{image}.jpg").touch()
    return {
        "status": lambda: inspect.main([str(dataset)]),
        "verify": lambda: inspect.main([str(dataset), "--verify"]),
        "repair": lambda: inspect.main([str(dataset), "--repair"]),
        "report": lambda: inspect.main(["report", str(dataset), "--output", str(to / "page.html"), "--samples=3"]),
        "coco": lambda: export.main([str(dataset), "--format", "coco", "--to", str(to / "pairs.json")]),
        "datasets": lambda: export.main([str(dataset), "--format", "datasets", "--to", str(to / "folder")]),
        "fiftyone": lambda: export.main(
            [str(dataset), "--format", "fiftyone", "--to", str(to / "51"), "--images", str(to / "photos")]
        ),
    }


def test_names_count_only_if_they_are_exactly_what_is_written():
    assert shard_of("manifests", "000123.parquet") == 123
    assert shard_of("shards", "1000000.tar") == 1000000
    for name in (
        "._000000.parquet", "000000 (1).parquet", "abc.parquet", "-00001.parquet", "0.parquet", "0000001.parquet",
        "000000.parquet.bak", "000000.PARQUET", "٠٠٠٠٠٠.parquet", "000000.parquet\n", "notes.txt",
        "9" * 5000 + ".parquet",
    ):  # fmt: skip
        assert shard_of("manifests", name) is None


@pytest.mark.parametrize("file", [*OUTSIDE, None, 7])
def test_a_file_outside_is_refused_wherever_it_is_named(file, dataset, tmp_path, capsys):
    checksum = {"sha256": "0" * 64, "bytes": 1}
    with pytest.raises(UserError, match="which is no file of a dataset"):
        checked_file(file, "dataset.json")
    if not isinstance(file, str):
        return
    with pytest.raises(UserError, match="which is no file of a dataset"):
        repair(str(dataset), [Damage(file, "missing")])
    before = set(tmp_path.rglob("*"))
    change_manifest(dataset, with_files({file: checksum}))
    for arguments in (["--verify"], ["--repair"]):
        assert inspect.main([str(dataset), *arguments]) == 2
        error = capsys.readouterr().err
        assert "manifests/000000.parquet names" in error
        assert untouched(tmp_path, before)
    with pytest.raises(UserError, match=r"manifests/000000\.parquet names"):
        select_samples(str(dataset), DataConfig(skip_damaged=True))
    (dataset / "dataset.json").write_text(json.dumps({"files": {file: checksum}}))
    assert inspect.main([str(dataset), "--repair"]) == 2
    assert "dataset.json names" in capsys.readouterr().err
    assert untouched(tmp_path, before)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_leads_elsewhere_is_refused_wherever_it_is_read(key, dataset, tmp_path, capsys):
    change_manifest(dataset, with_column("key", [key]), shard=1)
    (tmp_path / "to").mkdir()
    reading = commands(dataset, tmp_path / "to")
    for name in ("coco", "datasets", "fiftyone"):
        assert reading[name]() == 2, name
        assert "000001.parquet is damaged" in capsys.readouterr().err
    assert reading["verify"]() == 1
    assert "manifests/000001.parquet: unreadable" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"000001\.parquet: unreadable"):
        select_samples(str(dataset), DataConfig())
    assert select_samples(str(dataset), DataConfig(skip_damaged=True)).skipped_shards == [1]
    assert [path.read_text() for path in tmp_path.glob("victim*")] == ["precious"] * 2
    assert not list(tmp_path.rglob("x*"))


def test_pairs_of_another_shard_are_refused(dataset):
    change_manifest(dataset, with_column("shard", [7]))
    with pytest.raises(UserError, match="pairs of other shards than 0"):
        select_samples(str(dataset), DataConfig())


def test_repair_deletes_nothing_behind_a_link(dataset, tmp_path):
    shutil.move(dataset / "shards", tmp_path / "elsewhere")
    (dataset / "shards").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "000000.tar").write_bytes(b"somebody's")
    damages = verify(str(dataset))
    assert [damage.file for damage in damages] == ["shards/000000.tar"]
    before = set(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="symbolic link"):
        repair(str(dataset), damages)
    assert set(tmp_path.rglob("*")) == before


DAMAGES = {
    "an empty config.yaml": lambda folder: (folder / "config.yaml").write_text(""),
    "a list": lambda folder: (folder / "config.yaml").write_text("- 1\n- 2\n"),
    "no YAML": lambda folder: (folder / "config.yaml").write_bytes(b"a: [\xff"),
    "a long number in config.yaml": lambda folder: (folder / "config.yaml").write_text("source: " + "9" * 5000),
    "half a configuration": lambda folder: (folder / "config.yaml").write_text(
        "fingerprint: a\nconfiguration: {captions: {path: x}}\nmodels: {}\nsource: {shards: 1, images: 1}\n"
    ),
    "no JSON": lambda folder: (folder / "dataset.json").write_text("{"),
    "a JSON list": lambda folder: (folder / "dataset.json").write_text("[1]"),
    "files that are none": lambda folder: (folder / "dataset.json").write_text('{"files": [1]}'),
    "no checksum": lambda folder: (folder / "dataset.json").write_text('{"files": {"config.yaml": 3}}'),
    "a long number": lambda folder: (folder / "dataset.json").write_text(
        '{"files": {"config.yaml": {"sha256": "' + "0" * 64 + '", "bytes": ' + "9" * 5000 + "}}}"
    ),
    "depth": lambda folder: (folder / "dataset.json").write_text("[" * 100_000),
    "no metadata": lambda folder: change_manifest(folder, lambda table: table.replace_schema_metadata({})),
    "metadata of thousands of digits": lambda folder: change_manifest(folder, with_files(b"9" * 5000)),
    "a manifest without its columns": lambda folder: change_manifest(folder, lambda table: table.select(["key"])),
    "no width": lambda folder: change_manifest(folder, with_column("image_width", [0])),
    "an image of any width": lambda folder: change_manifest(folder, with_column("image_width", [2**31 - 1])),
    "an empty manifest file": lambda folder: (folder / "manifests" / "000000.parquet").write_bytes(b""),
    "no Parquet": lambda folder: (folder / "manifests" / "000001.parquet").write_bytes(b"PAR1 PAR1"),
    "rejects that are none": lambda folder: (folder / "rejects" / "000000.parquet").write_bytes(b"x"),
    "odd records": lambda folder: [
        [(folder / kind).mkdir(exist_ok=True), (folder / kind / "000005.json").write_text(text)]
        for kind, text in (("errors", '["[/]"]'), ("statistics", "9" * 5000))
    ],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_a_message_for_everything_that_reads(damage, dataset, tmp_path, capsys):
    DAMAGES[damage](dataset)
    (tmp_path / "to").mkdir()
    for name, command in commands(dataset, tmp_path / "to").items():
        code = command()
        said = capsys.readouterr()
        assert code in (0, 1, 2), name
        assert (code == 2) == said.err.startswith("error: "), name


def test_files_of_other_programs_are_passed_over_with_a_word(dataset, capsys):
    assert inspect.main([str(dataset)]) == 0
    status = capsys.readouterr().out
    foreign = ("._000000.parquet", "000000 (1).parquet", "abc.parquet", "notes.txt", "٠٠٠٠٠1.parquet")
    for folder in ("manifests", "captions", "errors", "shards", "listing", "statistics"):
        (dataset / folder).mkdir(exist_ok=True)
        for name in foreign:
            (dataset / folder / name).write_bytes(b"\0\5\26\7 of a Mac")
    (dataset / "errors" / "000000 (1).json").write_text("{}")
    assert inspect.main([str(dataset)]) == 0
    assert capsys.readouterr().out == status
    assert inspect.main([str(dataset), "--verify"]) == 0
    said = capsys.readouterr().out
    assert all(f"note: {folder}/{name}: no file of" in said for folder in ("manifests", "errors") for name in foreign)
    assert len(select_samples(str(dataset), DataConfig()).table) == 16
    repair(str(dataset), [Damage("shards/000000.tar", "missing")])
    assert all((dataset / "manifests" / name).exists() for name in foreign)


def test_a_directory_whose_name_is_not_utf8(made, tmp_path, capsys):
    odd = shutil.copytree(made, os.fsdecode(os.fsencode(tmp_path) + b"/m\xfc"))
    assert inspect.main([str(odd)]) == inspect.main([str(odd), "--verify"]) == 0
    assert "m\\udcfc" in capsys.readouterr().out


def test_marks_of_a_terminal_in_data_are_shown_as_they_are(dataset, tmp_path, capsys):
    odd = Path(shutil.copytree(dataset, tmp_path / "[/] [red]"))
    rejects = pq.read_table(odd / "rejects" / "000000.parquet")
    pq.write_table(with_column("reason", ["[/bold] [blink]"])(rejects), odd / "rejects" / "000000.parquet")
    (odd / "errors").mkdir()
    (odd / "errors" / "000009.json").write_text(json.dumps({"stage": "[/]", "error": "Error: [/] [green]x"}))
    assert inspect.main([str(odd)]) == 0
    shown = capsys.readouterr().out
    for text in ("[/] [red]", "[/] [red] hat", "[/bold] [blink]", "Error: [/] [green]x"):
        assert text in shown


def break_json(folder: Path) -> None:
    (folder / "result.json").write_text('{"steps": {"full": 1}, "scores": {}}')


def break_config(folder: Path) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    for part in ("clip", "proposals", "model", "loss"):
        config["configuration"].pop(part, None)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def break_tables(folder: Path) -> None:
    for path in (*folder.glob("*.parquet"), *folder.glob("confusion/*")):
        path.write_bytes(b"PAR1 and no more PAR1")


def other_stages(folder: Path) -> None:
    for path in folder.glob("metrics.parquet"):
        pq.write_table(with_column("stage", ["../../full"] * 3)(pq.read_table(path)), path)


@pytest.mark.parametrize("change", [break_json, break_config, break_tables, other_stages])
def test_results_that_are_damaged_are_a_message(change, tmp_path, world, capsys):
    runs = [made_run(tmp_path / "train"), made_evaluation(world, tmp_path / "evaluate", 0.3)]
    for run in runs:
        for folder in ("confusion", "label_maps"):
            (run / folder).mkdir(exist_ok=True)
            (run / folder / "._000000.parquet").write_bytes(b"\0\5\26\7")
        if change is break_json:
            assert inspect.main(["report", str(run), "--samples=2"]) == 0
        change(run)
        capsys.readouterr()
        assert (inspect.main(["report", str(run), "--samples=2"]) == 2) == capsys.readouterr().err.startswith("error: ")


def test_a_card_of_the_user_is_not_replaced(dataset, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    arguments = [str(dataset), "--format", "datasets", "--to", str(tmp_path / "mine")]
    assert export.main(arguments) == 2
    assert "has a README.md already" in capsys.readouterr().err
    (tmp_path / "mine" / "README.md").unlink()
    assert export.main(arguments) == export.main(arguments) == 0


def other_members(**changed: bytes) -> Callable[[Path], None]:
    """Give the members of all samples of a tar another content, as far as it fits into their place."""

    def change(dataset: Path) -> None:
        path = dataset / "shards" / "000000.tar"
        with tarfile.open(path) as tar:
            places = [(member.name.partition(".")[2], member.offset_data, member.size) for member in tar]
        content = bytearray(path.read_bytes())
        for kind, offset, size in places:
            if (data := changed.get(kind.replace(".", "_"))) is not None:
                content[offset : offset + size] = data[:size].ljust(size, b" ")
        path.write_bytes(content)

    return change


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) print\n"


@pytest.mark.parametrize(
    "members",
    [
        {"jpg": EPS},
        {"mask_png": EPS},
        {"jpg": b"\xff\xd8\xff"},
        {"json": b"[1]"},
        {"json": b"{}"},
        {"json": b"[" * 9999},
    ],
)
def test_a_report_of_tars_with_other_things_in_them(members, dataset, tmp_path, capsys):
    other_members(**members)(dataset)
    assert inspect.main(["report", str(dataset), "--output", str(tmp_path / "page.html"), "--samples=30"]) == 2
    assert "000000.tar" in capsys.readouterr().err
