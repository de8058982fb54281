"""Several backends together: whose masks are kept, in which order, and which names found nothing."""

import numpy as np
import pytest

from jobs.backend_options import options_help
from jobs.command import Command
from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.mining.config import MineConfig
from pipeline.proposals import Proposals, ProposalsConfig, load_proposer, resolve_proposals
from pipeline.proposals.proposer import NamedProposals, is_prompted
from pipeline.proposals.several import Several
from tests.proposals.coco_files import BOX, ELSEWHERE, HEIGHT, WIDTH
from tests.proposals.inputs import encode_boxes

CONFIG = ProposalsConfig(min_area=0, max_area=1, max_iou=0.5)
IMAGE = np.zeros((40, 40, 3), np.uint8)


class Fixed:
    """Always the same boxes, best first, and the names that they answer if it is asked by names."""

    def __init__(self, boxes, scores, prompts=None, unanswered=None):
        self.identity, self.batch_size = {"name": "fixed", "version": "1"}, 1
        self.prompted = prompts is not None
        self._found = Proposals(
            encode_boxes(boxes, 40, 40), np.array(scores, np.float32), prompts=prompts and tuple(prompts),
            asked=("a", "b", "c") if prompts is not None else None,
        )  # fmt: skip
        self._unanswered = unanswered or {}

    def propose(self, images, image_ids):
        return [self._found for _ in images]

    def propose_named(self, images, image_ids, names):
        return [NamedProposals(self._found, self._unanswered) for _ in images]


A, A2, B, C, D = (0, 0, 10, 10), (0, 0, 10, 9), (20, 0, 30, 10), (0, 20, 10, 30), (20, 20, 30, 30)


def test_masks_are_taken_in_turn_whatever_their_scores():
    several = Several(CONFIG, [("loud", Fixed([A, B, C], [0.9, 0.8, 0.7])), ("shy", Fixed([D, A2], [0.2, 0.1]))])
    [found] = several.propose([IMAGE], [""])
    assert found.masks == encode_boxes([A, D, B, C], 40, 40)
    assert found.backends == ("loud", "shy", "loud", "loud")
    np.testing.assert_array_equal(found.scores, np.array([0.9, 0.2, 0.8, 0.7], np.float32))
    assert found.prompts is None
    assert not is_prompted(several)
    assert several.identity == {
        "name": "loud+shy", "version": "1", "loud.name": "fixed", "loud.version": "1", "shy.name": "fixed",
        "shy.version": "1",
    }  # fmt: skip


def test_a_mask_of_another_backend_takes_over_the_names():
    missing = {"c": ImageProblem("not_found")}
    asked = Fixed([D, A2], [0.2, 0.1], [{"b": 0.2}, {"a": 0.1}], missing)
    several = Several(CONFIG, [("plain", Fixed([A, B], [0.9, 0.8])), ("asked", asked)])
    assert is_prompted(several)
    [found] = several.propose_named([IMAGE], [""], [["a", "b", "c", "a"]])
    assert found.proposals.masks == encode_boxes([A, D, B], 40, 40)
    assert found.proposals.backends == ("plain", "asked", "plain")
    assert found.proposals.prompts == ({"a": 0.1}, {"b": 0.2}, {})
    assert found.proposals.asked == ("a", "b", "c")
    assert found.unanswered == missing


def test_why_no_mask_answers():
    first = Fixed([A], [0.5], [{"a": 0.5}], {"b": ImageProblem("name_too_long"), "c": ImageProblem("name_too_long")})
    second = Fixed([B, C], [0.5, 0.4], [{"a": 0.5}, {"b": 0.4}], {"c": ImageProblem("not_found")})
    config = ProposalsConfig(min_area=0, max_area=1, max_proposals=2)
    [found] = Several(config, [("x", first), ("y", second)]).propose_named([IMAGE], [""], [["a", "b", "c"]])
    assert {name: problem.reason for name, problem in found.unanswered.items()} == {"b": "not_found", "c": "not_found"}
    assert "max_proposals" in found.unanswered["b"].detail
    assert not found.unanswered["c"].detail


def truths(write) -> ProposalsConfig:
    path = write({"segmentation": [BOX]}, {"category_id": 4, "segmentation": ELSEWHERE})
    options = {"ground_truth": {"annotations": path, "prompted": True}, "segments": {"working_side": 32}}
    return ProposalsConfig(backends=["segments", "ground_truth"], options=options, min_area=0, max_area=1)


def test_real_backends_by_configuration(write):
    config = truths(write)
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    [found] = load_proposer(config).propose_named([image], ["1"], [["cat", "idea"]])
    assert set(found.proposals.backends) <= {"segments", "ground_truth"}
    assert any("cat" in of for of in found.proposals.prompts)
    assert list(found.unanswered) == ["idea"]
    resolved = resolve_proposals(config)
    assert resolved.options["segments"] == {"working_side": 32}
    assert resolved.options["ground_truth"].keys() > {"annotations", "prompted"}
    assert resolve_proposals(resolved) == resolved


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backends": ["segments", "segments"]}, r"^proposals\.backends: .* names a backend twice"),
        ({"backend": "sam2"}, "exclude each other"),
        ({"options": {"weights": "x"}}, r"^proposals\.options\.weights: .* such as proposals\.options\.segments\.weig"),
        ({"options": {"segments": 3}}, r"^proposals\.options\.segments: 3 is not the options"),
        ({"options": {"segments": {"depth_9": 1}}}, r"^proposals\.options\.segments\.depth_9: .* no such option"),
        ({"options": {}}, r"^proposals\.options\.ground_truth\.annotations is empty"),
        ({"backends": ["segments", "sam7"], "options": {}}, "'sam7' is not a backend"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(changes, said):
    given = {"backends": ["segments", "ground_truth"], "options": {"ground_truth": {"annotations": ""}}} | changes
    with pytest.raises(UserError, match=said):
        load_proposer(ProposalsConfig(**given))


def test_a_command_line_sets_options_of_each(tmp_path):
    (tmp_path / "some.yaml").write_text("proposals: {options: {sam3: {threshold: 0.4, names_per_batch: 3}}}")
    arguments = [
        "--config", str(tmp_path / "some.yaml"), "--captions.format=coco", "--captions.path=x", "--output=y",
        "--proposals.backends", "[sam2, sam3]", "--proposals.options.sam3.weights=three",
        "--proposals.options.sam3.threshold", "0.3", "--proposals.options.sam2.weights", "two",
    ]  # fmt: skip
    config = Command("mine", "", MineConfig).parse(arguments)[0].proposals
    assert dict(config.each()) == {
        "sam2": {"weights": "two"},
        "sam3": {"threshold": "0.3", "names_per_batch": 3, "weights": "three"},
    }
    config.check()
    assert resolve_proposals(config).options["sam3"]["threshold"] == 0.3
    shown = options_help(arguments)
    assert "--proposals.options.sam3.threshold" in shown
    assert "--proposals.options.sam2.points_per_side" in shown
