"""Which verifiers a dataset has, on the terminal; and tables of theirs that are damaged."""

from pathlib import Path

from jobs import inspect
from pipeline.inspection.status import read_status
from tests.report.made_dataset import make_dataset
from tests.second_opinions import write_random_opinions


def test_status_and_repair(tmp_path, capsys):
    folder = tmp_path / "mined"
    make_dataset(folder, ["dog", "cat", "hat", "tree"], shards=2, images_per_shard=3)
    assert read_status(str(folder)).verified == {}
    for shard in range(2):
        write_random_opinions(folder, shard, shard, so400m={"sha256": "1"})
    assert read_status(str(folder)).verified == {"so400m": 2}
    assert inspect.main([str(folder), "--verify"]) == 0
    path: Path = folder / "verified" / "000001.parquet"
    path.write_bytes(path.read_bytes()[:-40])
    found = read_status(str(folder))
    assert (found.verified, found.stale) == ({"so400m": 1}, 1)
    capsys.readouterr()
    assert inspect.main([str(folder)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "verified by so400m" in said
    assert "1 of 2 shards" in said
    assert inspect.main([str(folder), "--repair"]) == 0
    assert "python -m jobs.mine --verify-only writes them again" in capsys.readouterr().out
    assert not path.exists()
