"""The same forty pictures through every kind of source give the same pairs."""

import contextlib
import functools
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import datasets
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.captions import CaptionsConfig
from pipeline.errors import UserError
from pipeline.microworld.world import write_world
from pipeline.mining.run import mine
from tests.captions.sources import write_tar
from tests.disturbed_jobs import run as run_job
from tests.mining.configs import command_line, dataset_bytes, mine_config
from tests.mining.test_mine import manifest
from tests.servers.hub import Hub

pytestmark = pytest.mark.usefixtures("ray_cluster")

LICENCES = ("CC BY", "CC0", None)


class Picture:
    """One of the world."""

    def __init__(self, world: Path, number: int, image: dict, captions: list[str]):
        self.id = str(image["id"])
        self.name = image["file_name"]
        self.captions = captions
        self.bytes = (world / "images" / self.name).read_bytes()
        self.licence = LICENCES[number % len(LICENCES)]
        self.row = {"id": self.id, "file_name": self.name, "texts": captions, "licence": self.licence}


@pytest.fixture(scope="module")
def forty(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """Scenes in COCO format."""
    return made_once("forty", lambda folder: write_world(folder, images=40, seed=5))


@pytest.fixture(scope="module")
def mined_forty(forty: Path, small_clip: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is mined from them as they are."""
    output = tmp_path_factory.mktemp("mined-forty")
    mine(mine_config(forty, small_clip, output))
    return output


@pytest.fixture(scope="module")
def pictures(forty: Path) -> list[Picture]:
    document = json.loads((forty / "captions.json").read_text())
    captions: dict[int, list[str]] = {}
    for item in document["annotations"]:
        captions.setdefault(item["image_id"], []).append(item["caption"])
    images = document["images"]
    return [Picture(forty, number, image, captions[image["id"]]) for number, image in enumerate(images)]


def dataset_of(pictures: list[Picture]) -> datasets.Dataset:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "id": datasets.Value("string"),
            "caption": datasets.List(datasets.Value("string")),
            "licence": datasets.Value("string"),
        }
    )
    rows = {
        "image": [{"bytes": one.bytes, "path": None} for one in pictures],
        "id": [one.id for one in pictures],
        "caption": [one.captions for one in pictures],
        "licence": [one.licence for one in pictures],
    }
    return datasets.Dataset.from_dict(rows, features=features)


def parquet(pictures: list[Picture], world: Path, folder: Path) -> CaptionsConfig:
    dataset_of(pictures).to_parquet(folder / "train-0.parquet", batch_size=5)
    return CaptionsConfig("table", str(folder), id_column="id")


def arrow(pictures: list[Picture], world: Path, folder: Path) -> CaptionsConfig:
    dataset_of(pictures).save_to_disk(folder / "saved", num_shards=2)
    return CaptionsConfig("table", str(folder / "saved"), id_column="id")


def json_lines(pictures: list[Picture], world: Path, folder: Path) -> CaptionsConfig:
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(one.row) for one in pictures))
    columns = {"image_column": "file_name", "caption_column": "texts", "id_column": "id"}
    return CaptionsConfig("table", str(folder / "metadata.jsonl"), images=str(world / "images"), **columns)


def columns(pictures: list[Picture], world: Path, folder: Path) -> CaptionsConfig:
    most = max(len(one.captions) for one in pictures)
    names = [f"caption_{number}" for number in range(most)]
    rows = [
        {"image": one.name, "id": one.id, **dict(zip(names, [*one.captions, *[None] * most], strict=False))}
        for one in pictures
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    options = {"id_column": "id", "caption_columns": names}
    return CaptionsConfig("table", str(folder / "a.parquet"), images=str(world / "images"), **options)


def karpathy(pictures: list[Picture], world: Path, folder: Path) -> CaptionsConfig:
    images = [
        {
            "filename": one.name, "filepath": "images", "cocoid": int(one.id), "split": "train",
            "sentences": [{"raw": text} for text in one.captions],
        }
        for one in pictures
    ]  # fmt: skip
    (folder / "dataset_coco.json").write_text(json.dumps({"images": images, "dataset": "coco"}))
    return CaptionsConfig("karpathy", str(folder / "dataset_coco.json"), images=str(world))


def flickr(pictures: list[Picture], world: Path, folder: Path) -> CaptionsConfig:
    lines = [f"{one.name}#{number}\t{text}" for one in pictures for number, text in enumerate(one.captions)]
    (folder / "results.token").write_text("\n".join(lines) + "\n")
    return CaptionsConfig("flickr", str(folder / "results.token"), images=str(world / "images"))


def files(pictures: list[Picture], world: Path, folder: Path) -> CaptionsConfig:
    for one in pictures:
        (folder / one.name).write_bytes(one.bytes)
        (folder / one.name).with_suffix(".txt").write_text("\n".join(one.captions))
    return CaptionsConfig("folder", str(folder))


def tars(pictures: list[Picture], world: Path, folder: Path) -> CaptionsConfig:
    for number in range(2):
        members: list[tuple[str, bytes]] = []
        for one in pictures[number::2]:
            members += [(f"{one.id}.jpg", one.bytes), (f"{one.id}.json", json.dumps(one.row).encode())]
        write_tar(folder / f"{number:05}.tar", members)
    return CaptionsConfig("webdataset", str(folder), caption_column="texts")


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[str]:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def pairs(folder: Path) -> list[tuple]:
    """What was mined, less what the images are called and where they lie."""
    names = ("noun", "caption", "caption_index", "char_start", "char_end", "mask_rle", "image_sha256", "negatives")
    scores = ("clip_score", "noun_margin", "mask_margin", "proposal_score")
    rows = manifest(folder)
    return sorted(
        (*(row[name] for name in names), *(None if row[name] is None else round(row[name], 4) for name in scores))
        for row in rows
    )


def accounting_closes(folder: Path, images: int, dropped: int | None = None) -> None:
    dataset = json.loads((folder / "dataset.json").read_text())
    assert dataset["images"] == images == dataset["images_with_pairs"] + sum(dataset["rejected"].values())
    assert dataset.get("rows_dropped") == dropped
    captions = pq.read_table(folder / "captions")
    assert len(captions) == images


Source = Callable[[list[Picture], Path, Path], CaptionsConfig]


@pytest.mark.soak
@pytest.mark.parametrize("source", [parquet, arrow, json_lines, columns, karpathy, flickr, files, tars])
def test_local_sources(
    pictures: list[Picture], forty: Path, small_clip: str, mined_forty: Path, tmp_path: Path, source: Source
) -> None:
    (tmp_path / "source").mkdir()
    config = source(pictures, forty, tmp_path / "source")
    mine(mine_config(forty, small_clip, tmp_path / "mined", captions=config))
    assert pairs(tmp_path / "mined") == pairs(mined_forty)
    accounting_closes(tmp_path / "mined", len(pictures))


@pytest.mark.slow
def test_a_list_of_addresses(
    pictures: list[Picture], forty: Path, small_clip: str, mined_forty: Path, tmp_path: Path
) -> None:
    with web_server(forty / "images") as address:
        rows = [{"url": f"{address}/{one.name}", "caption": one.captions, "id": one.id} for one in pictures]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "urls.parquet")
        config = CaptionsConfig("table", str(tmp_path / "urls.parquet"), image_column="url", id_column="id")
        mine(mine_config(forty, small_clip, tmp_path / "mined", captions=config))
    assert pairs(tmp_path / "mined") == pairs(mined_forty)
    accounting_closes(tmp_path / "mined", len(pictures))


@pytest.mark.slow
def test_a_dataset_on_the_hub(
    hub: Hub,
    pictures: list[Picture],
    forty: Path,
    small_clip: str,
    mined_forty: Path,
    forked_workers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    files = {"README.md": b"# pictures"}
    for number in range(2):
        part = dataset_of(pictures).shard(2, number, contiguous=True)
        file = io.BytesIO()
        part.to_parquet(file, batch_size=5)
        files[f"data/train-{number:05}-of-00002.parquet"] = file.getvalue()
    token = "hf_" + "x" * 24
    commit = hub.commit("org/pictures", files)
    hub.protect("org/pictures", token)

    output, log, path = tmp_path / "mined", tmp_path / "log", "hf://datasets/org/pictures/data"
    usual = command_line(forty, small_clip, str(output))
    arguments = [argument for argument in usual if not argument.startswith("--captions.")]
    arguments += ["--captions.format=table", "--captions.id_column=id", f"--captions.path={path}"]
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": token, "HF_HOME": str(tmp_path / "home")}
    assert run_job("mine", arguments, log, environment | forked_workers) == 0, log.read_text()
    assert pairs(output) == pairs(mined_forty)
    accounting_closes(output, len(pictures))
    assert commit in (output / "config.yaml").read_text()
    assert token not in "".join(path.read_text(errors="ignore") for path in output.rglob("*") if path.is_file())

    # The branch moves on: what was begun is not mixed with it, and the commit can still be asked for.
    before = dataset_bytes(output)
    hub.commit("org/pictures", {name: data for name, data in files.items() if "00001-of" not in name})
    monkeypatch.setenv("HF_TOKEN", token)
    config = mine_config(forty, small_clip, output, captions=CaptionsConfig("table", path, id_column="id"))
    with pytest.raises(UserError, match="was made with something else") as told:
        mine(config)
    at_commit = f"hf://datasets/org/pictures@{commit}/data"
    assert f"captions.path: '{at_commit}'" in str(told.value)
    mine(replace(config, captions=replace(config.captions, path=at_commit)))
    assert dataset_bytes(output) == before


@pytest.mark.slow
def test_columns_are_carried_and_rows_left_out(
    pictures: list[Picture], forty: Path, small_clip: str, mined_forty: Path, tmp_path: Path
) -> None:
    config = parquet(pictures, forty, tmp_path)
    config.keep, config.where = ["licence"], "licence is not null"
    wanted = {one.id: one.licence for one in pictures if one.licence}
    for name in ("first", "second"):
        mine(mine_config(forty, small_clip, tmp_path / name, captions=config))
        accounting_closes(tmp_path / name, len(wanted), len(pictures) - len(wanted))
    assert dataset_bytes(tmp_path / "first") == dataset_bytes(tmp_path / "second")
    assert "licence is not null" in (tmp_path / "first" / "README.md").read_text()
    found = duckdb.sql(
        f"select image_id, kept.licence from '{tmp_path}/first/manifests/*.parquet' "
        f"join '{tmp_path}/first/captions/*.parquet' as c using (image_id) where c.problem is null"
    ).fetchall()
    assert set(found) <= set(wanted.items())
    assert sorted(image_id for image_id, _ in found) == sorted(row["image_id"] for row in manifest(tmp_path / "first"))
    expected = [row for row in manifest(mined_forty) if row["image_id"] in wanted]
    assert sorted((row["image_id"], row["noun"], row["mask_rle"]) for row in manifest(tmp_path / "first")) == sorted(
        (row["image_id"], row["noun"], row["mask_rle"]) for row in expected
    )
