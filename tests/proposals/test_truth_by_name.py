"""Backend `ground_truth` asked by names: the objects of the categories that are asked for, and no others."""

import json

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.proposals import load_proposer, resolve_proposals
from tests.proposals.coco_files import BOX, ELSEWHERE, HEIGHT, INSIDE, WIDTH, config, mined

CAT = {"segmentation": [BOX]}
DOG = {"category_id": 4, "segmentation": ELSEWHERE}
IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def ask(path: str, *names: str, image: np.ndarray = IMAGE, **options):
    [found] = load_proposer(config(path, prompted=True, **options)).propose_named([image], ["1"], [names])
    return found


def test_objects_of_the_categories_asked_for(write):
    found = ask(write(CAT, DOG), "cat", "house", " CAT ")
    np.testing.assert_array_equal(found.proposals.masks.decode().astype(bool), INSIDE[None])
    assert found.proposals.prompts == ({"cat": 1.0, " CAT ": 1.0},)
    assert {name: problem.reason for name, problem in found.unanswered.items()} == {"house": "not_found"}
    assert len(ask(write(CAT, DOG), "cat", "dog").proposals.masks) == 2


def test_a_phrase_means_what_its_last_words_name(write, tmp_path):
    synonyms = tmp_path / "synonyms.json"
    synonyms.write_text(json.dumps({"dog": ["hound"], "cat": ["Afghan hound"]}))
    asked = ("black cat", "big Afghan hound", "old hound", "cat house")
    found = ask(write(CAT, DOG), *asked, synonyms=str(synonyms))
    prompts = {name for of in found.proposals.prompts for name in of}
    assert prompts == {"black cat", "big Afghan hound", "old hound"}
    assert {"black cat": 1.0, "big Afghan hound": 1.0} in found.proposals.prompts
    assert list(found.unanswered) == ["cat house"]


def test_synonyms(write, tmp_path):
    synonyms = tmp_path / "synonyms.json"
    synonyms.write_text(json.dumps({"Cat": ["kitten", "Tabby cat"], "zebra": ["horse"]}))
    found = ask(write(CAT, DOG), "kitten", "tabby cat", "horse", synonyms=str(synonyms))
    assert found.proposals.prompts == ({"kitten": 1.0, "tabby cat": 1.0},)
    assert list(found.unanswered) == ["horse"]
    plain, with_synonyms = (
        load_proposer(config(write(CAT), prompted=True, **options)).identity
        for options in ({}, {"synonyms": str(synonyms)})
    )
    assert plain | {"synonyms_sha256": with_synonyms["synonyms_sha256"]} == with_synonyms


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "list instead of an object"),
        ("{", "no JSON"),
        ('{"cat": "kitten"}', "not a list of texts"),
        ('{"cat": [1]}', "not a list of texts"),
        ('{"zebra": []}', "names none of the annotated categories"),
    ],
)
def test_a_file_that_holds_no_synonyms_is_refused(write, tmp_path, content, said):
    (tmp_path / "synonyms.json").write_text(content)
    with pytest.raises(UserError, match=said):
        ask(write(CAT), "cat", synonyms=str(tmp_path / "synonyms.json"))


def test_synonyms_without_questions_or_a_file_are_refused(write, tmp_path):
    with pytest.raises(UserError, match=r"proposals\.options\.synonyms: there is no file"):
        ask(write(CAT), "cat", synonyms=str(tmp_path / "none.json"))
    with pytest.raises(UserError, match="is for prompted: true alone"):
        load_proposer(config(write(CAT), synonyms="x.json"))


def test_masks_follow_the_size_of_the_image(write):
    found = ask(write(CAT, DOG), "cat", image=np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.uint8))
    np.testing.assert_array_equal(found.proposals.masks.decode()[0].astype(bool), INSIDE.repeat(2, 0).repeat(2, 1))


def test_an_object_of_another_category_drops_none_of_those_asked_for(write):
    # The same pixels, annotated twice: of all objects one is kept, of the category asked for its own.
    path = write(CAT, CAT | {"category_id": 4})
    assert len(load_proposer(config(path)).propose([IMAGE], ["1"])[0].masks) == 1
    assert ask(path, "dog").proposals.prompts == ({"dog": 1.0},)
    assert ask(path, "dog", "cat").proposals.prompts == ({"dog": 1.0, "cat": 1.0},)


def test_images_that_the_file_does_not_list(write):
    proposer = load_proposer(config(write(CAT), prompted=True))
    with pytest.raises(ImageProblem, match="not_annotated"):
        proposer.propose_named([IMAGE], ["7"], [["cat"]])


def test_outputs_of_before_are_not_told_of_options_that_are_off(write):
    path = write(CAT)
    assert resolve_proposals(config(path)).options == {"annotations": path, "panoptic_images": None, "crowd": False}
    assert resolve_proposals(config(path, prompted=True)).options["prompted"] is True
    assert "prompted" not in load_proposer(config(path)).identity
    assert load_proposer(config(path, prompted=True)).identity["prompted"] == "true"


def test_in_mining_a_noun_without_an_answer_is_a_reject_of_its_own(write):
    nouns = {
        "1": [{"noun": "cat", "caption_index": 0}, {"noun": "idea", "caption_index": 1}],
        "2": [{"noun": "idea", "caption_index": 0}, {"noun": "cat", "caption_index": 2}],
        "7": [{"noun": "cat", "caption_index": 0}],
    }
    shard = mined(write(CAT, DOG), *nouns, nouns=nouns, prompted=True)
    assert [
        (row["image_id"], row["stage"], row["reason"], row["caption_index"], row["noun"]) for row in shard.rejects
    ] == [
        ("1", "proposals", "not_found", 1, "idea"),
        ("2", "proposals", "not_found", 0, "idea"),
        ("2", "proposals", "not_found", 2, "cat"),
        ("2", "proposals", "not_found", None, None),
        ("7", "proposals", "not_annotated", None, None),
    ]
    [left] = shard.remaining()
    assert left.nouns == nouns["1"][:1]
    assert left.proposals.backends == ("ground_truth",)
    assert shard.reasons() == {"proposals: not_found": 1, "proposals: not_annotated": 1}
