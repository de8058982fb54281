"""A backend of one's own with options: shown in `--help`, checked before a worker starts, and mined with."""

import os

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from jobs import inspect, mine, run
from pipeline.inspection.verify import verify
from pipeline.masks import rle
from tests.disturbed_jobs import REPOSITORY, job
from tests.mining.configs import command_line
from tests.proposals.own_backend import BACKEND, write_own_backend


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder with the file, where Python finds it."""
    write_own_backend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def help_of(main, arguments: list[str], capsys) -> str:
    """What `--help` prints, without its line breaks."""
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--help"])
    assert caught.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def check_shown(shown: str, key: str) -> None:
    assert f"Options of the backend {BACKEND}: Cuts every image into upright stripes." in shown
    assert f"--{key}.stripes VALUE How many. Allowed: at least 1. (type: int, default: 4)" in shown
    assert f"--{key}.weights VALUE A file or URI; workers run in other directories" in shown


def test_help_shows_the_options_of_a_backend_named_on_the_command_line(own, capsys):
    check_shown(help_of(mine.main, [f"--proposals.backend={BACKEND}"], capsys), "proposals.options")
    check_shown(help_of(mine.main, ["--proposals.backend", BACKEND], capsys), "proposals.options")


def test_help_shows_the_options_of_backends_named_in_files(own, capsys):
    (own / "mine.yaml").write_text(f"proposals: {{backend: '{BACKEND}'}}")
    check_shown(help_of(mine.main, ["--config", str(own / "mine.yaml")], capsys), "proposals.options")
    (own / "run.yaml").write_text(
        f"mine: mine.yaml\nevaluate:\n- proposals: {{backend: segments}}\n- proposals: {{backend: '{BACKEND}'}}\n"
    )
    shown = help_of(run.main, ["--help", "--config", str(own / "run.yaml")], capsys)
    check_shown(shown, "mine.proposals.options")
    check_shown(shown, "evaluate[1].proposals.options")
    assert "--evaluate[0].proposals.options.working_side VALUE Longest side (px)" in shown


def test_help_shows_no_options_where_no_backend_is_named(capsys):
    assert "Options of the backend" not in help_of(mine.main, [], capsys)


def test_help_says_which_backend_is_not_there(capsys):
    assert mine.main(["--proposals.backend=absent.module:Class", "--help"]) == 2
    assert "proposals.backend: 'absent.module:Class': there is no module absent; Python" in capsys.readouterr().err


def test_a_module_that_a_backend_needs_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "needy_backend.py").write_text("import absent_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert mine.main(["--proposals.backend=needy_backend:Needy", "--help"]) == 2
    said = "'needy_backend:Needy': the module needy_backend needs absent_library, which is not installed"
    assert said in capsys.readouterr().err


def test_a_misspelt_class_is_told_with_the_nearest(own, capsys):
    assert mine.main(["--proposals.backend=stripes_of_mine:Strips", "--help"]) == 2
    assert "the module stripes_of_mine has no class Strips; did you mean Stripes" in capsys.readouterr().err


def test_help_of_an_option_is_shown_as_it_is_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "backend_with_percent.py").write_text(
        "from dataclasses import dataclass\n\n\n@dataclass\nclass Options:\n    share: float | None = None\n"
        '    """Up to 100% of it."""\n\n\nclass Shares:\n    options_class = Options\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    shown = help_of(mine.main, ["--proposals.backend=backend_with_percent:Shares"], capsys)
    assert "Up to 100% of it. (type: float or null, default: null)" in shown


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("stripes=0", "proposals.options.stripes is 0; it must be at least 1"),
        ("stripes=many", "proposals.options.stripes: 'many' is not of the type of this option, int"),
        ("stripes=null", "proposals.options.stripes: null is not of the type of this option, int"),
        ("weights=[1]", "proposals.options.weights: [1] is not of the type of this option, str or null"),
        ("strips=3", "proposals.options.strips: the backend stripes_of_mine:Stripes has no such option; did you mean"),
        ("depth=3", "has no such option; it has stripes, weights"),
    ],
)
def test_options_that_mean_nothing_end_before_the_work(own, world, argument, said, capsys):
    arguments = [
        "proposals", "--captions.format=coco", f"--captions.path={world / 'captions.json'}",
        f"--captions.images={world / 'images'}", f"--output={own / 'out'}", f"--proposals.backend={BACKEND}",
        f"--proposals.options.{argument}",
    ]  # fmt: skip
    assert inspect.main(arguments) == 2
    assert said in capsys.readouterr().err


NEEDED = ["--captions.format=coco", "--captions.path=captions.json", "--output=out"]


@pytest.mark.parametrize(
    ("backend", "old", "new"),
    [("sam2", "weights", "weights"), ("ground_truth", "crowd", "crowd"), ("detectron2", "options", "changes")],
)
def test_keys_of_earlier_versions_in_a_file_end_with_the_new_key(backend, old, new, tmp_path, capsys):
    said = f"proposals.{backend}.{old} is now proposals.options.{new}, with proposals.backend: {backend}"
    (tmp_path / "old.yaml").write_text(f"proposals: {{{backend}: {{{old}: x}}}}")
    with pytest.raises(SystemExit) as caught:
        mine.main([*NEEDED, "--config", str(tmp_path / "old.yaml")])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count(said) == 1


def test_keys_of_earlier_versions_in_a_list_of_evaluations(tmp_path, capsys):
    evaluation = {"dataset": {"kind": "voc_20", "root": "x"}, "proposals": {"maskformer": {"weights": "x"}}}
    config = {
        "output": "out", "mine": {"captions": {"format": "coco", "path": "x"}}, "evaluate": [evaluation],
    }  # fmt: skip
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit) as caught:
        run.main(["--config", str(tmp_path / "old.yaml")])
    assert caught.value.code == 2
    said = "proposals.maskformer.weights is now proposals.options.weights, with proposals.backend: maskformer"
    assert capsys.readouterr().err.count(said) == 1


@pytest.mark.slow
def test_mining_with_a_backend_of_ones_own(world, small_clip, forked_workers, tmp_path):
    write_own_backend(tmp_path)
    output = tmp_path / "out"
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump({"limit": 6, "proposals": {"backend": BACKEND, "options": {"stripes": 3}}})
    )
    kept = [one for one in command_line(world, small_clip, str(output)) if not one.startswith("--proposals.")]
    path = os.pathsep.join([str(tmp_path), forked_workers["PYTHONPATH"]])
    arguments = [
        "--config",
        str(tmp_path / "mine.yaml"),
        *kept,
        "--proposals.options.stripes=2",
        "--proposals.options.weights=LICENSE",
    ]
    log = tmp_path / "log.txt"
    with job("mine", arguments, log, forked_workers | {"PYTHONPATH": path}) as process:
        assert process.wait(600) == 0, log.read_text()
    assert verify(str(output)) == []
    rows = pq.read_table(output / "manifests").to_pylist()
    assert rows
    for row in rows:
        [mask_HW] = rle.decode([row["mask_rle"].encode()], row["image_height"], row["image_width"])
        left = np.zeros_like(mask_HW)
        left[:, : row["image_width"] // 2] = 1
        assert (mask_HW == left).all() or (mask_HW == 1 - left).all()
    options = yaml.safe_load((output / "config.yaml").read_text())["configuration"]["proposals"]["options"]
    assert options == {"stripes": 2, "weights": str(REPOSITORY / "LICENSE")}
