"""`config.yaml`: what carries on in a directory, what is refused, and what is only told."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import pytest
import yaml

from jobs import export, inspect
from pipeline.captions import CaptionsConfig
from pipeline.clip import ClipConfig
from pipeline.configuration.fingerprint import describe, write_or_check
from pipeline.configuration.markers import AbsentMeans
from pipeline.configuration.recipe import RECIPES
from pipeline.errors import UserError
from pipeline.mining.config import MineConfig
from pipeline.training.samples import DataConfig, select_samples
from tests.report.made_dataset import make_dataset

CONFIG = MineConfig(captions=CaptionsConfig(format="coco", path="captions.json"), output="out", clip=ClipConfig())


def described(config: MineConfig = CONFIG, recipe: int | None = None, kind: str = "mine") -> dict:
    """A description as the code of a recipe makes it; by default as this one does."""
    with pytest.MonkeyPatch.context() as patch:
        if recipe is not None:
            patch.setitem(RECIPES, kind, recipe)
        return describe(kind, MineConfig, asdict(config), source={"images": 3})


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return str(tmp_path / "config.yaml")


def test_the_same_carries_on_and_says_nothing(uri, capsys):
    write_or_check(uri, MineConfig, described())
    before = Path(uri).read_bytes()
    write_or_check(uri, MineConfig, described(replace(CONFIG, output="elsewhere")))
    assert Path(uri).read_bytes() == before
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("kind", RECIPES)
def test_every_kind_of_output_has_a_recipe_in_its_fingerprint(kind):
    fingerprints = {described(kind=kind, recipe=recipe)["fingerprint"] for recipe in (1, 2)}
    assert len(fingerprints) == 2
    assert described(kind=kind)["recipe"] == RECIPES[kind] >= 1


def test_another_recipe_is_refused_in_words(uri):
    write_or_check(uri, MineConfig, described(recipe=7))
    with pytest.raises(UserError) as refused:
        write_or_check(uri, MineConfig, described(recipe=8))
    lines = str(refused.value).splitlines()
    assert "was made with something else" in lines[0]
    assert [line for line in lines if line.startswith("  ")] == [
        "  recipe: 7 → 8: this version of the program makes other output of the same input; to carry on, use the "
        "version that began it"
    ]
    write_or_check(uri, MineConfig, described(recipe=7))


def test_a_directory_without_a_recipe_is_one_made_before_and_refused(uri):
    stored = described(recipe=7)
    del stored["recipe"]
    Path(uri).write_text(yaml.safe_dump(stored | {"fingerprint": "of old"}))
    with pytest.raises(UserError, match=rf"recipe: 0 \(made before recipes had numbers\) → {RECIPES['mine']}: "):
        write_or_check(uri, MineConfig, described())


def test_recipe_and_other_differences_are_listed_together(uri):
    write_or_check(uri, MineConfig, described(recipe=7))
    with pytest.raises(UserError) as refused:
        write_or_check(uri, MineConfig, described(replace(CONFIG, limit=5), recipe=8))
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()[1:-1]] == ["  recipe", "  limit"]


def test_other_versions_of_libraries_are_told_in_one_line_and_taken(uri, capsys):
    stored = described()
    stored["versions"] |= {"torch": "1.2.3", "spacy": None}
    write_or_check(uri, MineConfig, stored)
    now = described()
    write_or_check(uri, MineConfig, now)
    shown = capsys.readouterr()
    assert shown.out == ""
    [line] = shown.err.splitlines()
    assert line.startswith(f"note: {uri.rpartition('/')[0]} was begun with other versions: ")
    assert f"torch 1.2.3, now {now['versions']['torch']}" in line
    assert f"spacy unknown, now {now['versions']['spacy']}" in line
    assert "numpy" not in line


@pytest.mark.parametrize("recipe", [None, 99])
def test_readers_take_datasets_of_any_recipe(recipe, tmp_path, capsys):
    make_dataset(tmp_path / "mined", ["dog", "cat", "tree"], shards=1, images_per_shard=4, nouns_per_image=2)
    config = tmp_path / "mined" / "config.yaml"
    stored = yaml.safe_load(config.read_text())
    assert "recipe" not in stored
    config.write_text(yaml.safe_dump(stored | ({"recipe": recipe} if recipe else {})))
    mined = str(tmp_path / "mined")
    assert len(select_samples(mined, DataConfig()).train)
    assert inspect.main([mined]) == 0
    assert inspect.main(["report", mined, f"--output={tmp_path / 'page'}"]) == 0
    assert export.main([mined, "--format=coco", f"--to={tmp_path / 'pairs.json'}"]) == 0
    assert capsys.readouterr().err == ""


# ---------------------------------------------------------------------------------- keys that came later


@dataclass
class Before:
    """A configuration of an earlier version."""

    size: int = 1


@dataclass
class After(Before):
    """The same with a key that shapes what is written."""

    mode: Annotated[str, AbsentMeans("off")] = "off"


@dataclass
class Later(Before):
    """And when its default has changed."""

    mode: Annotated[str, AbsentMeans("off")] = "on"


def described_as(config: Before) -> dict:
    return describe("segment", type(config), asdict(config), source={"images": 3})


def carries_on(uri: str, begun: Before, now: Before) -> bool:
    Path(uri).unlink(missing_ok=True)
    write_or_check(uri, type(begun), described_as(begun))
    try:
        write_or_check(uri, type(now), described_as(now))
    except UserError:
        return False
    return True


def test_a_directory_of_before_a_key_carries_on_where_the_key_says_the_same(uri):
    assert carries_on(uri, Before(), After())
    assert "mode" not in Path(uri).read_text()
    assert carries_on(uri, Before(), Later(mode="off"))
    assert not carries_on(uri, Before(), After(size=2))
    assert not carries_on(uri, Before(), After(mode="on"))
    assert not carries_on(uri, Before(), Later())


def test_a_key_of_later_tells_directories_apart(uri):
    assert carries_on(uri, After(), After())
    assert "mode: 'off'" in Path(uri).read_text()
    assert carries_on(uri, After(), Later(mode="off"))
    assert carries_on(uri, After(mode="on"), Later())
    assert not carries_on(uri, After(mode="on"), After())
    assert not carries_on(uri, After(mode="on"), Before())


@pytest.mark.parametrize(
    ("begun", "now", "difference"),
    [
        (Before(), After(mode="on"), "  mode: 'off' → 'on'"),
        (After(), After(mode="on"), "  mode: 'off' → 'on'"),
        (After(mode="on"), After(), "  mode: 'on' → 'off'"),
        (Before(), After(size=2), "  size: 1 → 2"),
    ],
)
def test_what_an_absent_key_means_is_said(uri, begun, now, difference):
    write_or_check(uri, type(begun), described_as(begun))
    with pytest.raises(UserError) as refused:
        write_or_check(uri, type(now), described_as(now))
    assert [line for line in str(refused.value).splitlines() if line.startswith("  ")] == [difference]


def test_datasets_of_before_compiling_carry_on_without_it(uri):
    stored = described()
    assert stored["configuration"]["clip"].pop("compile") is False
    write_or_check(uri, MineConfig, stored)
    write_or_check(uri, MineConfig, described())
    compiled = described(replace(CONFIG, clip=ClipConfig(compile=True)))
    with pytest.raises(UserError, match=r"clip\.compile: False → True"):
        write_or_check(uri, MineConfig, compiled)
