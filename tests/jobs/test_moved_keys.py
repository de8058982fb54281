"""Keys that earlier versions had for the options of proposal backends."""

import pytest
import yaml

from jobs.command import Command
from pipeline.mining.config import MineConfig
from pipeline.proposals.backends import resolve_proposals

GIVEN = ["--captions.format=coco", "--captions.path=captions.json", "--output=out", "--proposals.backend=ground_truth"]


def parsed(*arguments: str) -> MineConfig:
    return Command("jobs.mine", "", MineConfig).parse([*GIVEN, *arguments])[0]


def test_on_the_command_line_they_are_taken_as_their_present_names():
    config = parsed("--proposals.ground_truth.annotations=a.json", "--proposals.ground_truth.crowd", "true")
    options = resolve_proposals(config.proposals).options
    assert (options["annotations"], options["crowd"]) == ("a.json", True)


def test_in_a_file_they_are_refused_with_their_present_names(tmp_path, capsys):
    (tmp_path / "old.yaml").write_text(yaml.safe_dump({"proposals": {"ground_truth": {"annotations": "a.json"}}}))
    with pytest.raises(SystemExit) as ended:
        parsed(f"--config={tmp_path / 'old.yaml'}")
    assert ended.value.code == 2
    assert "proposals.ground_truth.annotations is now proposals.options.annotations" in capsys.readouterr().err
