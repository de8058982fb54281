"""Failed and slow shards in the tables of jobs.inspect."""

import struct

import pyarrow as pa
import pytest
from rich.console import Console

import schemas
from jobs import inspect
from pipeline import storage
from pipeline.inspection.trouble import FailedShard, slow_shards, trouble_tables
from tests.mining.read_dataset import make, picture


def test_slow_shards_are_named_with_the_stage_that_took_the_time():
    seconds = {shard: {"images": 1.0, "proposals": 20.0, "matching": 9.0} for shard in range(9)}
    seconds[2] = {"images": 70.0, "proposals": 21.0, "matching": 9.0}  # 100 s, the median is 30 s
    seconds[4] = {"images": 1.0, "proposals": 80.0, "matching": 10.0}  # 91 s: proposals are 60 s above their median
    seconds[5] = {"images": 1.0, "proposals": 79.0, "matching": 10.0}  # 90 s: exactly three times the median
    seconds[11] = {}  # the worker died before it wrote statistics
    slow = slow_shards(seconds)
    assert [(found.shard, found.stage, found.stage_seconds) for found in slow] == [
        (2, "images", 70.0),
        (4, "proposals", 80.0),
    ]
    assert slow[0].times_median == pytest.approx(100 / 30)
    assert slow_shards({}) == slow_shards({3: {}}) == slow_shards({1: {"images": 5.0}}) == []


def shown(tables: list) -> str:
    """Their text, runs of spaces as one."""
    console = Console(width=120)
    with console.capture() as captured:
        for table in tables:
            console.print(table)
    return " ".join(captured.get().split())


def test_tables_are_short_and_say_how_many_there_are():
    failed = [FailedShard(shard, "matching", f"Traceback\n  …\nRuntimeError: {shard}\n") for shard in range(100, 125)]
    seconds = {shard: {"images": 1.0} for shard in range(3)} | {7: {"images": 4.5}}
    text = shown(list(trouble_tables(failed, slow_shards(seconds))))
    assert "25 failed shards" in text
    assert "20 of them shown" in text
    assert "000119 │ matching │ RuntimeError: 119" in text
    assert "000120" not in text
    assert "000007" in text
    assert "images (4.5 s)" in text
    assert list(trouble_tables([], [])) == []


def test_of_every_reason_an_example_is_shown(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    contents = {
        "gone": None,
        "good": picture(1),
        "photo": struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(200),
        "odd": b"\x1b[31m[/red]",
        "good too": picture(2),
    }
    for name, content in contents.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    make(tmp_path, [str(tmp_path / name) for name in contents])
    assert inspect.main([str(tmp_path / "mined")]) == 0
    [row] = [line for line in capsys.readouterr().out.splitlines() if "not_an_image" in line]
    reason, count, example = [cell.strip() for cell in row.strip("│").split("│")]
    assert (reason, count) == ("images: not_an_image", "2")
    assert "HEIC" in example


def test_a_detail_that_would_steer_the_terminal_is_shown_as_it_is(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    layout = make(tmp_path, ["ftp://[/] \x1b[31m\u202enone"])
    [row] = storage.read_table(layout.table("rejects", 0)).to_pylist()
    storage.write_table(
        pa.Table.from_pylist([row | {"detail": "[/] \x1b[31m\u202enone"}], schemas.REJECTS), layout.table("rejects", 0)
    )
    assert inspect.main([layout.uri]) == 0
    shown = capsys.readouterr().out
    assert "[/] \ufffd[31m\ufffdnone" in shown
    assert "\u202e" not in shown
