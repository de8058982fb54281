"""Backends that are asked by names: the processors, models and post-processing of `transformers` as the expectation."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    Owlv2ForObjectDetection,
    Owlv2Processor,
    Sam2Model,
    Sam2Processor,
    Sam3Model,
    Sam3Processor,
)

from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.masks.masks import Masks
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.proposals.box_masks import NamedBoxes
from pipeline.proposals.proposer import is_prompted
from tests.proposals.invariants import check_invariants
from tests.proposals.tiny_prompted import CONTEXT, PROMPTED, WORDS, everything, save_tiny_prompted
from tests.proposals.tiny_sam2 import SIDE as SAM2_SIDE
from tests.proposals.tiny_sam2 import noise

IMAGES = [noise(48, 80, 1), noise(100, 40, 2), noise(48, 80, 3), noise(41, 70, 4)]
NAMES = [WORDS[:5], ["cat", "red bus", "café"], [], ["person", "tree"]]
THRESHOLD = {"sam3": 0.1, "grounding_dino": 0.15, "owlv2": 0.5}


@pytest.fixture(scope="module", params=PROMPTED)
def backend(request, tmp_path_factory) -> tuple[str, dict]:
    """Name and options of a backend."""
    name = request.param
    return name, save_tiny_prompted(tmp_path_factory.mktemp(name), name) | {"threshold": THRESHOLD[name]}


def named(found, name: str) -> list[tuple[float, int]]:
    """Score and index of each mask that answers a name, best first."""
    prompts = enumerate(found.proposals.prompts)
    return sorted(((of[name], index) for index, of in prompts if name in of), key=lambda pair: -pair[0])


@torch.no_grad()
def asked_alone(backend: tuple[str, dict], image: np.ndarray, name: str) -> list[tuple[float, np.ndarray]]:
    """Score and mask of each answer by `transformers` alone, best first; no empty masks."""
    kind, options = backend
    folder, threshold = options["weights"], options["threshold"]
    parts = AutoImageProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    size = [image.shape[:2]]
    if kind == "sam3":
        processor = Sam3Processor(*parts)
        output = Sam3Model.from_pretrained(folder)(**processor(Image.fromarray(image), name, return_tensors="pt"))
        [found] = processor.post_process_instance_segmentation(output, threshold, target_sizes=size)
        scores, masks = found["scores"], found["masks"]
    else:
        if kind == "owlv2":
            processor = Owlv2Processor(*parts)
            inputs = processor(images=Image.fromarray(image), text=[[name]], return_tensors="pt")
            output = Owlv2ForObjectDetection.from_pretrained(folder)(**inputs)
            [found] = processor.image_processor.post_process_object_detection(output, threshold, size)
        else:
            processor = GroundingDinoProcessor(*parts)
            inputs = processor(images=Image.fromarray(image), text=[[name]], return_tensors="pt")
            output = GroundingDinoForObjectDetection.from_pretrained(folder)(**inputs)
            [found] = processor.post_process_grounded_object_detection(output, threshold=threshold, target_sizes=size)
        scores, masks = found["scores"], cut_out(options["sam2_weights"], image, found["boxes"])
    pairs = zip(scores.tolist(), masks.numpy().astype(bool), strict=True)
    return sorted(((score, mask) for score, mask in pairs if mask.any()), key=lambda pair: -pair[0])


def cut_out(folder: str, image: np.ndarray, boxes: torch.Tensor) -> torch.Tensor:
    """The masks of boxes, which end at the border of the image, bool [K,H,W]; nothing of boxes outside of it."""
    height, width = image.shape[:2]
    clipped = boxes.clamp(min=torch.zeros(4), max=torch.tensor([width, height] * 2))
    outside = (clipped[:, 2:] <= clipped[:, :2]).any(dim=1)
    if outside.all():
        return torch.zeros(len(boxes), height, width, dtype=torch.bool)
    processor = Sam2Processor(AutoImageProcessor.from_pretrained(folder), target_size=SAM2_SIDE)
    inputs = processor(Image.fromarray(image), input_boxes=[clipped.tolist()], return_tensors="pt")
    output = Sam2Model.from_pretrained(folder)(**inputs, multimask_output=False)
    [masks] = processor.post_process_masks(output.pred_masks, inputs["original_sizes"])
    return masks[:, 0] & ~outside[:, None, None]


def test_masks_and_scores_are_those_of_transformers(backend):
    name, options = backend
    proposer = load_proposer(everything(name, options, batch_size=3))
    found = proposer.propose_named(IMAGES, [""] * len(IMAGES), NAMES)
    answers = 0
    for image, names, of_image in zip(IMAGES, NAMES, found, strict=True):
        check_invariants(of_image.proposals, image, everything(name, options))
        masks = of_image.proposals.masks.decode().astype(bool)
        for word in names:
            expected = asked_alone(backend, image, word)
            ours = named(of_image, word)
            np.testing.assert_allclose([score for score, _ in ours], [score for score, _ in expected], atol=1e-5)
            assert (word in of_image.unanswered) == (not expected)
            if expected:
                expected_masks = Masks.encode(np.stack([mask for _, mask in expected]))
                our_masks = Masks.encode(np.stack([masks[index] for _, index in ours]))
                # Answers with nearly the same score may change places, and a pixel its side where it is at the level.
                assert our_masks.iou(expected_masks).max(axis=1).min() > 0.99
            answers += len(expected)
    asked = sum(map(len, NAMES))
    assert 2 * asked < answers < asked * 14  # the thresholds let some pass, not all


@pytest.mark.parametrize("names_per_batch", [1, 3])
def test_names_in_batches_of_any_size_give_the_same(backend, names_per_batch):
    name, options = backend
    one = load_proposer(everything(name, options | {"names_per_batch": 100}, batch_size=4))
    other = load_proposer(everything(name, options | {"names_per_batch": names_per_batch}, batch_size=1))
    images, ids = IMAGES[:3], [""] * 3
    for ours, theirs in zip(
        one.propose_named(images, ids, NAMES[:3]), other.propose_named(images, ids, NAMES[:3]), strict=True
    ):
        assert ours.unanswered.keys() == theirs.unanswered.keys()
        for word in WORDS:
            scores = [[score for score, _ in named(found, word)] for found in (ours, theirs)]
            np.testing.assert_allclose(*scores, atol=1e-5)
        if ours.proposals.masks:
            assert ours.proposals.masks.iou(theirs.proposals.masks).max(axis=1).min() > 0.99


def test_images_are_encoded_once_and_not_at_all_without_names(backend):
    name, options = backend
    proposer = load_proposer(everything(name, options | {"names_per_batch": 2}, batch_size=2))
    model = proposer._model
    encoders = {
        "sam3": lambda: [model.vision_encoder],
        "grounding_dino": lambda: [model.model.backbone.backbone, proposer._masks._model.vision_encoder],
        "owlv2": lambda: [model.owlv2.vision_model, proposer._masks._model.vision_encoder],
    }[name]()
    seen = []

    def count(module, args, kwargs, output):
        seen.append((module, len(args[0] if args else kwargs["pixel_values"])))

    for encoder in encoders:
        encoder.register_forward_hook(count, with_kwargs=True)
    proposer.propose_named(IMAGES[:2], ["", ""], [[], ["", " "]])
    assert not seen
    images = [IMAGES[0], IMAGES[2], IMAGES[1]]
    proposer.propose_named(images, [""] * 3, [WORDS, WORDS[:3], WORDS[4:]])
    for encoder in encoders:
        assert sum(count for module, count in seen if module is encoder) == 3


def test_names_that_cannot_be_asked_for_are_told_and_the_others_answered(backend):
    name, options = backend
    long = "cat " * CONTEXT[name]
    # Byte for byte any script fits; a vocabulary of words knows none of these.
    scripts = ["猫", "собака", "قطة", "🐈"]
    proposer = load_proposer(everything(name, options | {"threshold": 0}))
    [found] = proposer.propose_named(IMAGES[:1], [""], [["cat", "", "  ", long, *scripts, "cat", "CAT"]])
    reasons = {word: problem.reason for word, problem in found.unanswered.items()}
    expected = {"": "empty_name", "  ": "empty_name", long: "name_too_long"}
    if name == "grounding_dino":
        expected |= dict.fromkeys(scripts, "unknown_words")
    assert reasons == expected
    assert str(CONTEXT[name]) in found.unanswered[long].detail
    assert {word for of in found.proposals.prompts for word in of} == {"cat", "CAT", *scripts} - expected.keys()
    assert named(found, "cat")[0][0] == pytest.approx(named(found, "CAT")[0][0])


def test_three_hundred_names(backend):
    name, options = backend
    endings = ["", "s", "y", "ss", "sy", "ys"]
    names = [f"{first} {second}{ending}" for first in WORDS for second in WORDS for ending in endings][:300]
    config = everything(name, options, max_iou=0.7, max_proposals=100)
    [found] = load_proposer(config).propose_named(IMAGES[:1], [""], [names])
    check_invariants(found.proposals, IMAGES[0], config)
    answered = {word for of in found.proposals.prompts for word in of}
    assert answered | found.unanswered.keys() == set(names)
    assert not answered & found.unanswered.keys()
    assert found.proposals.asked == tuple(dict.fromkeys(names))


NAN = {
    "sam3": ["dot_product_scoring.query_proj.bias", "mask_decoder.instance_projection.bias"],
    "grounding_dino": ["model.text_projection.bias"],
    "owlv2": ["class_head.logit_shift.bias"],
}


@pytest.mark.parametrize("place", [0, 1])
def test_weights_that_are_not_numbers_are_a_problem_of_the_image(backend, place, tmp_path):
    name, options = backend
    damaged = [("weights", key) for key in NAN[name]] + [("sam2_weights", "mask_decoder.upscale_conv2.bias")]
    option, key = damaged[place]
    folder = shutil.copytree(options[option], tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights[key][:] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    proposer = load_proposer(everything(name, options | {option: str(folder)}))
    with pytest.raises(ImageProblem) as caught:
        proposer.propose_named(IMAGES[:1], [""], [["cat", "person"]])
    assert caught.value.reason == "not_a_number"


def test_memory_that_does_not_suffice_halves_names_then_images(backend, caplog):
    name, options = backend
    proposer = load_proposer(everything(name, options | {"names_per_batch": 8}, batch_size=4))
    expected = proposer.propose_named(IMAGES[:1], [""], [WORDS])
    if name == "owlv2":  # embeds names
        module, most = proposer._model.owlv2.text_model, 2
    else:
        module, most = (
            {"sam3": lambda m: m.detr_decoder, "grounding_dino": lambda m: m.model.text_backbone}[name](
                proposer._model
            ),
            2,
        )

    def refuse(module, args, kwargs):
        first = next(value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor))
        if len(first if first.ndim else [0]) > most:
            raise torch.OutOfMemoryError("made up")

    module.register_forward_pre_hook(refuse, with_kwargs=True)
    found = proposer.propose_named(IMAGES[:1], [""], [WORDS])
    assert proposer._names.size == 2
    assert proposer._batches.size == 4
    assert "8 names at a time: going on with 4; set proposals.options.names_per_batch" in caplog.text
    for word in WORDS:
        scores = [[score for score, _ in named(some, word)] for some in (expected[0], found[0])]
        np.testing.assert_allclose(*scores, atol=1e-5)
    most = 0
    with pytest.raises(torch.OutOfMemoryError):
        proposer.propose_named(IMAGES[:1], [""], [WORDS])


def test_half_precision_answers_nearly_the_same(backend):
    name, options = backend
    scores = []
    for precision in ("fp32", "bf16"):
        config = everything(name, options | {"threshold": 0}, precision=precision)
        [found] = load_proposer(config).propose_named(IMAGES[:1], [""], [["cat"]])
        scores.append(named(found, "cat")[0][0])
    if name == "grounding_dino":  # which queries are asked depends on the last bits of random weights
        return
    assert scores[0] == pytest.approx(scores[1], abs=0.1)


def test_boxes_end_at_the_border_of_the_image_and_those_outside_are_none():
    boxes = torch.tensor(
        [
            [-5.0, -1.0, 4.0, 3.0],
            [2.0, 2.0, 90.0, 3.0],
            [20.0, 1.0, 30.0, 2.0],
            [3.0, 3.0, 3.0, 5.0],
            [float("nan"), 0, 1, 1],
            [0.0, 0.0, float("inf"), 2.0],
            [5.0, 4.0, 1.0, 1.0],
        ]
    )
    found = NamedBoxes(boxes, [{str(number): 0.5} for number in range(7)]).inside(6, 10)
    assert found.boxes.tolist() == [[0, 0, 4, 3], [2, 2, 10, 3], [0, 0, 10, 2]]
    assert found.prompts == [{"0": 0.5}, {"1": 0.5}, {"5": 0.5}]


def test_without_names_they_propose_nothing(backend):
    proposer = load_proposer(everything(*backend))
    assert is_prompted(proposer)
    with pytest.raises(UserError, match="is asked by names"):
        proposer.propose(IMAGES[:1], [""])
    assert proposer.propose_named([], [], []) == []
    with pytest.raises(ValueError, match="must be RGB"):
        proposer.propose_named([np.zeros((4, 4), np.uint8)], [""], [["cat"]])


def test_the_identity_holds_every_weight(backend, tmp_path):
    name, options = backend
    identity = load_proposer(everything(name, options)).identity
    assert identity["name"] == name
    assert identity["prompted"] == "true"
    hashes = {key: value for key, value in identity.items() if key.endswith("_sha256")}
    assert len(hashes) == sum("weights" in key for key in options)
    assert all(len(value) == 64 for value in hashes.values())
    assert "names_per_batch" in dataclasses.asdict(load_proposer(everything(name, options))._options)


def test_weights_must_be_named_and_of_such_models(backend, tmp_path):
    name, options = backend
    for key in (key for key in options if "weights" in key):
        with pytest.raises(UserError, match=rf"^proposals\.options\.{key} is empty"):
            load_proposer(ProposalsConfig(name, {other: options[other] for other in options if other != key}))
    folder = shutil.copytree(options["weights"], tmp_path / "model")
    for file in folder.glob("*token*"):
        file.unlink()
    for file in [*folder.glob("vocab*"), *folder.glob("merges*")]:
        file.unlink()
    with pytest.raises(UserError, match=r"^proposals\.options\.weights: .* cannot be loaded"):
        load_proposer(everything(name, options | {"weights": str(folder)}))


def test_sam3_for_video_loads_as_published(tmp_path):
    options = save_tiny_prompted(tmp_path, "sam3") | {"threshold": 0.1}
    video = shutil.copytree(options["weights"], tmp_path / "video")
    config = json.loads((video / "config.json").read_text())
    (video / "config.json").write_text(json.dumps({"model_type": "sam3_video", "detector_config": config}))
    weights = {f"detector_model.{key}": value for key, value in load_file(video / "model.safetensors").items()}
    weights |= {"tracker_model.memory.weight": torch.zeros(2), "tracker_neck.fpn.weight": torch.zeros(1, 2)}
    save_file(weights, video / "model.safetensors", {"format": "pt"})
    first, second = (
        load_proposer(everything("sam3", options | {"weights": str(folder)})).propose_named(IMAGES[:1], [""], [WORDS])
        for folder in (options["weights"], video)
    )
    assert first[0].proposals.masks == second[0].proposals.masks
    assert len(first[0].proposals.masks) > 3
