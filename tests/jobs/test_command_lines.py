"""The command lines as a user types them."""

import json

import pytest

from jobs import inspect, mine
from tests.mining.configs import command_line


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_mine_then_inspect(world, small_clip, tmp_path, capsys):
    # Letters that Ray takes in no tag, and what rich would take for marks.
    output = tmp_path / "bücher [/] [red] データ"
    arguments = [*command_line(world, small_clip, str(output)), "--limit=7"]
    assert mine.main([*arguments, "--dry-run"]) == 0
    plan = capsys.readouterr().out
    assert "2, 0 of them committed already" in plan
    assert not output.exists()

    assert mine.main(arguments) == 0
    assert "2 of 2" in capsys.readouterr().out
    assert inspect.main([str(output)]) == 0
    status = capsys.readouterr().out
    dataset = json.loads((output / "dataset.json").read_text())
    for shown in ("complete", f"{dataset['pairs']} (", "clip_score", "top nouns"):
        assert shown in status

    assert inspect.main([str(output), "--verify"]) == 0
    (output / "rejects" / "000001.parquet").unlink()
    capsys.readouterr()
    assert inspect.main([str(output), "--verify"]) == 1
    assert "rejects/000001.parquet: missing" in capsys.readouterr().out
    assert inspect.main([str(output), "--repair"]) == 0
    assert "due again: shards 1" in capsys.readouterr().out


def test_inspect_says_that_there_is_no_dataset(tmp_path, capsys):
    assert inspect.main([str(tmp_path)]) == 2
    assert "no config.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["--clip.batchsize=3", "--clip.batch_size=many", "--captions.format=xml"])
def test_wrong_keys_and_values_are_named(world, small_clip, tmp_path, capsys, wrong):
    with pytest.raises(SystemExit) as stopped:
        mine.main([*command_line(world, small_clip, str(tmp_path)), wrong])
    assert stopped.value.code == 2
    assert wrong.split("=")[0].strip("-") in capsys.readouterr().err


def test_the_example_configuration_is_complete_and_known(tmp_path):
    from jobs.command import Command
    from pipeline.mining.config import MineConfig

    parsed = Command("jobs.mine", "", MineConfig).parser.parse_args(["--config", "jobs/mine.yaml"])
    assert parsed.output == "./mined"
    assert parsed.clip.architecture == "ViT-B-16"
