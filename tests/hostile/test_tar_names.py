"""Tars whose members have odd names and kinds: every picture is listed once, with its own caption or with a problem.

`make soak FAULTS=50 SEED=7` for more of them.
"""

import io
import json
import posixpath
import random
import tarfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.captions import CaptionsConfig, open_captions, read_image
from pipeline.errors import UserError

FEW, PER_FAULT = 120, 100
# What WebDataset has always taken for pictures, and img2dataset writes.
PICTURES = ("jpg", "jpeg", "png", "webp")


@dataclass
class Tar:
    """A tar in the making, and what has to come out of it."""

    data: io.BytesIO = field(default_factory=io.BytesIO)
    pictures: dict[bytes, str | None] = field(default_factory=dict)
    """By content, which is another for each: the caption that stands beside the picture."""
    keys: list[str] = field(default_factory=list)
    """Of every sample with a picture, as WebDataset cuts names: up to the first dot of the last part."""


# Stems as people, programs and attackers write them; {} is a number, so that no two are the same by chance.
STEMS = [
    "{}", "a/{}", "./{}", "./a/./{}", "/{}", "/etc/{}", "../{}", "../../../tmp/{}", "a/../{}", "//{}", "a//b/{}",
    "~/{}", "C:\\{}", "a\\b\\{}", "::{}", "{}::x", "reference://{}::http://127.0.0.1:9/r", "tar://{}", "file:///{}",
    "s3://bucket/{}", "http://127.0.0.1:9/{}", "{}\n", "\t{}", " {} ", "{}%00", "%2e%2e/{}", "{}*?[x]{{a,b}}",
    "$HOME/{}", "{}é", "{}e\u0301", "{}\u202egpj", "{}\U0001f600", "caf\udce9{}", "\udcff\udcfe{}", "\udcc4\udce3/{}",
    "-rf {}", "x" * 120 + "{}", "d/" * 70 + "{}", "y" * 300 + "{}", "d/" * 2000 + "{}", "{}[/]", "<b>{}</b>",
    "{}'\";--",
]  # fmt: skip
# Names that are no sample's: macOS's companions and hidden files, folders, and what has no stem.
STRAYS = ["._{}.jpg", ".{}.png", "a/._{}.txt", ".DS_Store", "{}", "{}.tar", ".jpg", "a/.txt", "{}.", "readme {}.md"]
LINKS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
FORMATS = [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT]


def draw(rng: random.Random, log: list[str]) -> Tar:
    """A tar of a few samples, some of their names odd, with other members between them."""
    made = Tar()
    format = rng.choice(FORMATS)
    for number, stem in enumerate(rng.sample(STEMS, rng.randint(1, 5))):
        if rng.random() < 0.3:
            _stray(made, format, rng, number)
        stem, extension = stem.format(number), rng.choice([*PICTURES, "JPG"])
        # Now and then the same names once more, for another picture and another caption.
        times = rng.choice([1, 1, 1, 2])
        for _ in range(times):
            log.append(f"{stem!r:.60}")
            _sample(made, format, rng, stem, extension, captioned=times > 1 or rng.random() < 0.9)
    made.data.write(tarfile.NUL * 2 * tarfile.BLOCKSIZE)
    return made


def _sample(made: Tar, format: int, rng: random.Random, stem: str, extension: str, captioned: bool) -> None:
    number = len(made.pictures)
    picture = f"picture {number}".encode().ljust(rng.choice([12, 511, 512, 513, 700]), b".")
    caption = f"caption {number}"
    members = [(f"{stem}.{extension}", picture)]
    if captioned and rng.random() < 0.3:
        members.append((f"{stem}.json", json.dumps({"caption": caption, "width": -1}).encode()))
    elif captioned:
        members.append((f"{stem}.txt", caption.encode()))
    rng.shuffle(members)
    headers = [_header(format, tarfile.TarInfo(name), len(content)) for name, content in members]
    if None in headers:
        return  # USTAR has no room for every name
    for header, (_, content) in zip(headers, members, strict=True):
        _write(made, header, content)
    made.pictures[picture] = caption if captioned else None
    folder, base = posixpath.split(stem.removeprefix("./"))
    made.keys.append(posixpath.join(folder, base.partition(".")[0]))


def _stray(made: Tar, format: int, rng: random.Random, number: int) -> None:
    if rng.random() < 0.5:
        info, content = tarfile.TarInfo(rng.choice(STRAYS).format(f"stray{number}")), b"stray"
    else:
        info, content = tarfile.TarInfo(f"link{number}.jpg"), b""
        info.type = rng.choice(LINKS)
        info.linkname = rng.choice(["0.jpg", "/etc/passwd", "../../victim", "\udcff"])
    _write(made, _header(format, info, len(content)), content)


def _header(format: int, info: tarfile.TarInfo, size: int) -> bytes | None:
    """None if the format has no room for the name."""
    info.size = size
    try:
        return info.tobuf(format, "utf-8", "surrogateescape")
    except ValueError:
        return None


def _write(made: Tar, header: bytes, content: bytes) -> None:
    made.data.write(header + content + tarfile.NUL * (-len(content) % tarfile.BLOCKSIZE))


def check(rng: random.Random, folder: Path, log: list[str]) -> None:
    made = draw(rng, log)
    tar = folder / "00000.tar"
    tar.write_bytes(made.data.getvalue())
    # A name that is there once is good, whatever it looks like.
    names = Counter(made.keys)
    pictures = zip(made.keys, made.pictures.values(), strict=True)
    alone = sum(caption is not None and names[key] == 1 for key, caption in pictures)
    try:
        batches = open_captions(CaptionsConfig("webdataset", str(tar))).batches()
        rows = [row for batch in batches for row in batch.to_pylist()]
    except UserError as error:
        if alone or "captions." not in str(error):
            raise
        return
    places = Counter((row["byte_offset"], row["byte_length"]) for row in rows if row["byte_offset"] is not None)
    assert set(places.values()) <= {1}, "a picture is listed twice"
    assert len(rows) >= len(made.pictures), f"{len(rows)} rows for {len(made.pictures)} pictures"
    usable = [row for row in rows if row["problem"] is None]
    for row in usable:
        picture = read_image(row["image_uri"], row["byte_offset"], row["byte_length"])
        assert picture in made.pictures, "what is listed is no picture"
        assert row["captions"] == [made.pictures[picture]], f"the caption of another picture: {row['captions']}"
    assert len(usable) >= alone, f"{len(usable)} usable of {alone}: {rows}"


def many(folder: Path, cases: int, seed: int) -> None:
    before = snapshot(folder)
    work = folder / "work"
    work.mkdir()
    for number in range(cases):
        log: list[str] = []
        try:
            check(random.Random(f"{seed} {number}"), work, log)
        except Exception as error:
            raise AssertionError(f"case {number} of seed {seed}: {', '.join(log)}: {error!r}") from error
    assert [path.name for path in work.iterdir()] == ["00000.tar"]
    (work / "00000.tar").unlink()
    work.rmdir()
    assert snapshot(folder) == before


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """All that is there, a few folders up as well."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in [*folder.rglob("*"), *folder.parent.glob("*"), *Path.cwd().glob("*")]
        if path.is_dir() or path.is_file()
    }


@pytest.fixture
def placed(tmp_path, monkeypatch) -> Path:
    """The working folder, with something beside it that nobody may touch."""
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_tars(placed):
    many(placed, FEW, 0)


@pytest.mark.soak
def test_many_tars(placed, pytestconfig):
    many(placed, PER_FAULT * pytestconfig.getoption("faults"), pytestconfig.getoption("seed"))
