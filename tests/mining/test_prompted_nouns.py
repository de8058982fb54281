"""Mining with proposals that were asked for by name: which masks a noun chooses among, and what tables say of them."""

import contextlib
import dataclasses
import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline import storage
from pipeline.captions import write_listing
from pipeline.clip import RegionEncoder
from pipeline.dataset.kept_proposals import ProposalsOfShard
from pipeline.dataset.layout import Layout
from pipeline.dataset.shards import ShardsConfig, file_checksum
from pipeline.dataset.vocabulary import Vocabulary, vocabulary_table
from pipeline.errors import UserError
from pipeline.escaping.markdown import escaped
from pipeline.images import ImageProblem
from pipeline.inspection.status import print_status
from pipeline.mining.config import MatchingConfig
from pipeline.mining.matching import match
from pipeline.mining.plan import check_among
from pipeline.mining.proposal_trial import measure_proposals
from pipeline.mining.run import mine
from pipeline.mining.steps.match_regions import MatchRegions
from pipeline.mining.steps.write_shard import WriteShard
from pipeline.mining.summary import dataset_card, summarize
from pipeline.mining.work import Shard
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.regions import RegionsConfig
from tests.mining.configs import mine_config
from tests.mining.test_match_regions import shard
from tests.proposals.kept_dataset import Ids


def nouns() -> list[dict]:
    """Two nouns as the captions table has them."""
    span = {"char_start": 0, "char_end": 3, "caption_index": 0}
    span |= dict.fromkeys(["phrase", "phrase_start", "phrase_end", "attributes"])
    return [{"noun": noun, "surface": noun, **span} for noun in ("cat", "dog")]


def prompted() -> Shard:
    """The first image: three masks of two backends; "cat" asked for the last two, "dog" for none of the three."""
    made = shard()
    made.images = made.images[:1]
    [image] = made.images
    image.row |= {"captions": ["a cat and a dog"]}
    image.nouns, image.file_bytes, image.file_sha256 = nouns(), 10, "0" * 64
    image.proposals = dataclasses.replace(
        image.proposals,
        backends=("segments", "sam3", "sam3"),
        prompts=({}, {"cat": 0.5, "pet": 0.75}, {"cat": 0.25}),
        asked=("cat", "dog", "pet"),
    )
    return made


def step(clip, among: str) -> MatchRegions:
    vocabulary = Vocabulary(vocabulary_table(["cat", "dog"], [2, 1], np.eye(2, 32, dtype=np.float32)))
    return MatchRegions(
        [RegionEncoder(clip, RegionsConfig(), 4)], MatchingConfig(candidates=3, among=among), vocabulary
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_noun_chooses_among_what_it_may(seed):
    rng = np.random.default_rng(seed)
    features, texts = rng.normal(size=(6, 8)).astype(np.float32), rng.normal(size=(3, 8)).astype(np.float32)
    allowed = rng.random((6, 3)) < 0.6
    allowed[:, 2] = False
    scores = features @ texts.T
    found = match(features, texts, 2, allowed)
    assert found[2] == []
    for noun in range(2):
        best = sorted(np.flatnonzero(allowed[:, noun]), key=lambda region: -scores[region, noun])
        assert [one.region for one in found[noun]] == best[:2]
        for rank, one in enumerate(found[noun]):
            assert one.score == pytest.approx(scores[one.region, noun])
            others = max(scores[one.region, other] for other in range(3) if other != noun)
            assert one.noun_margin == pytest.approx(one.score - others, abs=1e-5)
            after = best[rank + 1] if rank + 1 < len(best) else None
            margin = None if after is None else pytest.approx(one.score - scores[after, noun], abs=1e-5)
            assert one.mask_margin == margin
    assert match(features, texts, 2, np.ones_like(allowed)) == match(features, texts, 2)


def test_among_all_or_those_asked_for(tiny):
    chosen = {}
    for among in ("all", "prompted"):
        [image] = step(tiny, among)(prompted(), lambda _: None).images
        chosen[among] = [sorted(one.region for one in best) for best in image.matches]
    assert chosen == {"all": [[0, 1, 2], [0, 1, 2]], "prompted": [[1, 2], []]}


def write(tmp_path, done: Shard, **options) -> Layout:
    layout = Layout(str(tmp_path))
    storage.write_bytes(layout.table("captions", 0), b"")
    WriteShard(layout, MatchingConfig(), ShardsConfig(), **options)(done, lambda _: None)
    return layout


def test_tables_say_who_made_a_mask_and_which_name_asked_for_it(tiny, tmp_path):
    layout = write(tmp_path, step(tiny, "all")(prompted(), lambda _: None))
    expected = {
        ("cat", 0): ("segments", None, None), ("cat", 1): ("sam3", "cat", 0.5), ("cat", 2): ("sam3", "cat", 0.25),
        ("dog", 0): ("segments", None, None), ("dog", 1): ("sam3", "pet", 0.75), ("dog", 2): ("sam3", "cat", 0.25),
    }  # fmt: skip
    rows = pq.read_table(layout.table("candidates", 0)).to_pylist()
    said = {
        (row["noun"], row["proposal_index"]): (row["backend"], row["prompted_by"], row["prompt_score"]) for row in rows
    }
    assert said == expected
    pairs = pq.read_table(tmp_path / "manifests").to_pylist()
    assert {pair["noun"] for pair in pairs} == {"cat", "dog"}
    with tarfile.open(layout.tar(0)) as tar:
        for pair in pairs:
            assert (pair["backend"], pair["prompted_by"], pair["prompt_score"]) == expected[
                pair["noun"], pair["proposal_index"]
            ]
            sample = json.loads(tar.extractfile(f"{pair['key']}.json").read())
            assert sample["backend"] == pair["backend"]
            assert sample["prompted_by"] == (pair["prompted_by"] or "")


def test_nouns_without_a_mask_are_counted_apart_from_images(tiny, tmp_path):
    done = prompted()
    done.reject(done.images[0], "proposals", "not_found", "", 0, "unicorn")
    layout = write(tmp_path, step(tiny, "all")(done, lambda _: None))
    [row] = pq.read_table(layout.table("rejects", 0)).to_pylist()
    assert (row["noun"], row["caption_index"], row["reason"]) == ("unicorn", 0, "not_found")
    listing = write_listing(Ids(["0"]), layout.uri, 3)
    description = {
        "fingerprint": "0" * 64, "kind": "mine", "source": {"shards": 1, "images": 1},
        "configuration": {
            "captions": {"format": "coco", "path": "x"}, "captions_per_image": 1, "proposals": {"backend": "sam3"},
            "clip": {"architecture": "a", "weights": "b", "templates": "photo"},
        },
        "models": {"nouns": {"name": "n"}, "proposals": {"name": "sam3"}, "clip": {"sha256": "0" * 64}},
    }  # fmt: skip
    storage.write_bytes(layout.config, yaml.safe_dump(description).encode())
    storage.write_bytes(layout.vocabulary, b"")
    dataset = summarize(layout, listing)
    assert dataset["rejected"] == {}
    assert dataset["rejected_nouns"] == {"proposals: not_found": 1}
    card = dataset_card(dataset, description)
    assert "Nouns that nothing answers to" in card
    assert f"| {escaped('proposals: not_found')} | 1 |" in card
    del dataset["rejected_nouns"]
    assert "nothing answers" not in dataset_card(dataset, description)


def test_kept_proposals_answer_the_same_names_again(tiny, tmp_path):
    done = step(tiny, "all")(prompted(), lambda _: None)
    proposals = done.images[0].proposals
    layout = write(tmp_path, done, keep_proposals=True)
    table = ProposalsOfShard(storage.read_bytes(layout.table("proposals", 0)), "uri", 0).proposals("0")
    assert (table.backends, table.prompts, table.asked) == (proposals.backends, proposals.prompts, proposals.asked)

    listing = write_listing(Ids(["0"]), layout.uri, 3)
    description = {
        "fingerprint": "0" * 64, "kind": "mine",
        "configuration": {
            "captions": {"path": "x"}, "keep_proposals": True, "proposals": {}, "shards": {"images_per_shard": 3},
        },
        "source": {"shards": listing.shards, "images": 1},
        "models": {"proposals": {"name": "sam3", "version": "1", "prompted": "true"}},
    }  # fmt: skip
    storage.write_bytes(layout.config, yaml.safe_dump(description).encode())
    files = {
        layout.relative(uri): file_checksum(uri) for uri in (layout.table("proposals", 0), layout.table("manifests", 0))
    }
    storage.write_bytes(layout.dataset, json.dumps({"files": files}).encode())
    again = load_proposer(ProposalsConfig("mined", {"dataset": str(tmp_path)}))
    assert again.prompted
    [found] = again.propose_named([np.zeros((30, 40, 3), np.uint8)], ["0"], [["cat", "dog", "house", "pet"]])
    assert found.proposals.masks == proposals.masks
    assert (found.proposals.backends, found.proposals.prompts) == (proposals.backends, proposals.prompts)
    assert {name: problem.reason for name, problem in found.unanswered.items()} == {
        "dog": "not_found", "house": "not_asked",
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"backends": [["sam3"]]}, {"backends": [["sam3", None, "sam3"]]}, {"prompted_by": [[["cat"]]]},
        {"prompted_by": [[[], ["cat", "pet"], [None]]]}, {"prompt_scores": [[[], [0.5], [0.25]]]},
        {"prompt_scores": [None]}, {"asked": [None]}, {"asked": [["cat", None]]},
    ],
)  # fmt: skip
def test_kept_prompts_that_do_not_fit_their_masks_are_damage(tiny, tmp_path, changes):
    layout = write(tmp_path, step(tiny, "all")(prompted(), lambda _: None), keep_proposals=True)
    table = pq.read_table(layout.table("proposals", 0))
    for name, values in changes.items():
        field = table.schema.field(name)
        table = table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))
    storage.write_table(table, layout.table("proposals", 0))
    read = ProposalsOfShard(storage.read_bytes(layout.table("proposals", 0)), "uri", 0)
    with pytest.raises(UserError, match="uri is damaged"):
        read.proposals("0")


def test_tables_that_kept_no_backends_are_read(tiny, tmp_path):
    layout = write(tmp_path, step(tiny, "all")(prompted(), lambda _: None), keep_proposals=True)
    table = pq.read_table(layout.table("proposals", 0))
    old = table.drop_columns(["backends", "prompted_by", "prompt_scores", "asked"])
    storage.write_table(old, layout.table("proposals", 0))
    found = ProposalsOfShard(storage.read_bytes(layout.table("proposals", 0)), "uri", 0).proposals("0")
    assert (found.backends, found.prompts, found.asked) == (None, None, None)
    assert len(found.masks) == 3


def test_choosing_among_what_was_asked_for_needs_a_backend_that_is_asked(world, small_clip, tmp_path):
    config = mine_config(world, small_clip, tmp_path, matching=MatchingConfig(among="prompted"))
    with pytest.raises(UserError, match=r"^matching\.among: prompted needs .* by names, and the backend ground"):
        check_among(config, load_proposer(config.proposals))
    asked = ProposalsConfig("ground_truth", config.proposals.options | {"prompted": True})
    check_among(config, load_proposer(asked))
    check_among(dataclasses.replace(config, matching=MatchingConfig()), load_proposer(config.proposals))


def test_a_trial_asks_for_the_nouns_of_the_captions(world, small_clip, tmp_path):
    config = mine_config(world, small_clip, tmp_path)
    options = config.proposals.options | {"prompted": True}
    config = dataclasses.replace(config, proposals=ProposalsConfig("ground_truth", options), limit=6)
    report = measure_proposals(config)
    assert report.images == 6
    assert sum(report.counts) > 0
    plain = measure_proposals(mine_config(world, small_clip, tmp_path, limit=6))
    assert sum(report.counts) < sum(plain.counts)
    assert not plain.rejected_nouns.total()


def test_a_batch_that_fails_together_asks_each_alone():
    from pipeline.mining.steps.propose_masks import ProposeMasks
    from tests.segmentation.colours import ColoursByName

    class Picky(ColoursByName):
        def propose_named(self, images, image_ids, names):
            if "1" in image_ids:
                raise ImageProblem("not_a_number")
            return super().propose_named(images, image_ids, names)

    made = shard()
    for image in made.images:
        image.nouns, image.proposals = nouns(), None
    done = ProposeMasks(Picky())(made, lambda *_: None)
    assert {row["reason"] for row in done.rejects if row["image_id"] == "1"} == {"not_a_number"}
    assert [row["reason"] for row in done.rejects if row["image_id"] == "0"] == ["not_found"] * 3


@pytest.mark.slow
def test_a_whole_job_asks_for_its_nouns_and_its_kept_proposals_answer_again(world, small_clip, ray_cluster, tmp_path):
    config = mine_config(
        world, small_clip, tmp_path / "first", keep_proposals=True, matching=MatchingConfig(among="prompted")
    )
    asked = ProposalsConfig("ground_truth", config.proposals.options | {"prompted": True})
    dataset = mine(dataclasses.replace(config, proposals=asked, max_reject_fraction=1.0))
    kept = ProposalsConfig("mined", {"dataset": str(tmp_path / "first")})
    again = dataclasses.replace(config, proposals=kept, max_reject_fraction=1.0, output=str(tmp_path / "again"))
    mine(again)
    assert dataset["rejected_nouns"]["proposals: not_found"] > 0
    pairs, repeated = (pq.read_table(tmp_path / name / "manifests").to_pylist() for name in ("first", "again"))
    assert pairs == repeated
    rejects = pq.read_table(tmp_path / "first" / "rejects").to_pylist()
    unanswered = {(row["image_id"], row["noun"]) for row in rejects if row["noun"] is not None}
    assert len(unanswered) == sum(dataset["rejected_nouns"].values())
    for pair in pairs:
        assert pair["backend"] == "ground_truth"
        assert pair["prompted_by"] == pair["noun"]
        assert pair["prompt_score"] == 1.0
        assert (pair["image_id"], pair["noun"]) not in unanswered
    assert "nouns without a pair" in _shown(tmp_path / "first")


def _shown(folder) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as text:
        print_status(str(folder))
    return text.getvalue()
