"""Images and class names → predictions, against the two stages written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.clip.templates import TEMPLATES
from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.masks.masks import Masks
from pipeline.proposals import Proposals, ProposalsConfig, load_proposer
from pipeline.proposals.proposer import ClassifyingProposer, Queries
from pipeline.regions import RegionsConfig, masked_regions
from pipeline.segmentation import UNLABELLED, SegmentationConfig, Segmenter, fuse
from tests.segmentation.colours import COLOURS, ColourProposer, ColourQueries, ColoursByName, fields

CLASSES = [("red thing", "fire"), ("grass",), ("sea", "lake", "pool")]


def segmenter(clip, proposer=None, classes=CLASSES, batch_size=4, **settings):
    settings = {"templates": "photo"} | settings
    return Segmenter(
        clip, proposer or ColourProposer(), classes, SegmentationConfig(**settings), RegionsConfig(), batch_size
    )


def texts(clip, names, templates="photo"):
    """OVSeg Sec. 4.1, noun by noun."""
    rows = []
    for name in names:
        tokens = clip.tokenizer([template.format(name) for template in TEMPLATES[templates]])
        rows.append(F.normalize(F.normalize(clip.text(tokens), dim=-1).mean(dim=0), dim=-1))
    return torch.stack(rows)


def cosines(clip, image, masks_QHW, names):
    pixels, _, valid, _ = masked_regions(
        torch.from_numpy(image.transpose(2, 0, 1).copy()),
        torch.from_numpy(masks_QHW),
        clip_input=clip.input,
    )
    with torch.inference_mode():
        return (F.normalize(clip.vision(pixels), dim=-1) @ texts(clip, names).T).numpy(), valid.numpy()


def pooled(logits_XN, pool):
    return np.stack([pool(logits_XN[:, :2]), logits_XN[:, 2], pool(logits_XN[:, 3:6])], axis=1)


NAMES = [name for names in CLASSES for name in names]


@pytest.mark.parametrize("synonyms", ["max", "mean"])
@pytest.mark.parametrize("temperature", [None, 20.0])
def test_binary_proposals(tiny, synonyms, temperature):
    image = fields()
    [(_, prediction)] = segmenter(tiny, synonyms=synonyms, temperature=temperature).predict([(image, "a", None)])
    [proposals] = ColourProposer().propose([image], ["a"])
    masks_QHW = proposals.masks.decode().astype(bool)
    cosines_QN, _ = cosines(tiny, image, masks_QHW, NAMES)
    scale = temperature or float(torch.exp(tiny.logit_scale))
    logits_QC = scale * pooled(cosines_QN, lambda x: getattr(np, synonyms)(x, axis=1))
    np.testing.assert_allclose(prediction.region_logits, logits_QC, atol=1e-4)
    assert (prediction.masks.size, prediction.classes) == ((24, 36), 3)
    assert prediction.valid.tolist() == [True] * 5
    assert prediction.mask_logits is None
    assert prediction.proposal_logits is None
    scores = fuse(None, np.where(masks_QHW, np.inf, -np.inf), logits_QC, prediction.valid, 0.7)
    np.testing.assert_array_equal(prediction.label_map(0.7), scores.argmax(0).numpy())


def test_a_backend_that_is_asked_by_names_is_asked_for_all_of_all_classes(tiny):
    asked = []

    class Noting(ColoursByName):
        def propose_named(self, images, image_ids, names):
            asked.extend(names)
            return super().propose_named(images, image_ids, names)

    classes = [("fire", "red thing"), ("unicorn",)]
    images = [(fields(), "a", None), (fields(40, 30), "b", None), (np.zeros((8, 9, 3), np.uint8), "c", None)]
    predictions = [found for _, found in segmenter(tiny, Noting(), classes, background=["grass"]).predict(images)]
    assert asked == [["fire", "red thing", "unicorn", "grass"]] * 3
    for (image, _, _), prediction in zip(images, predictions, strict=True):
        red, green = ((image == COLOURS[name]).all(axis=2) for name in ("red", "green"))
        expected = [red, red, green] if red.any() else []
        assert [mask.astype(bool).tolist() for mask in prediction.masks.decode()] == [m.tolist() for m in expected]
        assert prediction.region_logits.shape == (len(expected), 3)
        assert prediction.label_map(weight=1.0).shape == image.shape[:2]


def test_soft_proposals_that_are_classified(tiny):
    image = fields()
    assert isinstance(ColourQueries(), ClassifyingProposer)
    assert not isinstance(ColourProposer(), ClassifyingProposer)
    [(_, prediction)] = segmenter(tiny, ColourQueries(), mask_threshold=0.4).predict([(image, "a", None)])
    [queries] = ColourQueries().propose_queries([image], ["a"], texts(tiny, NAMES).numpy())
    upsampled = F.interpolate(torch.tensor(queries.mask_logits)[None], image.shape[:2], mode="bilinear")[0]
    cosines_VN, valid = cosines(tiny, image, upsampled.sigmoid().numpy() > 0.4, NAMES)
    region_logits = float(tiny.logit_scale.exp()) * pooled(cosines_VN, lambda x: x.max(axis=1))
    proposal_logits = np.column_stack(
        [pooled(queries.class_logits[:, :-1], lambda x: x.max(axis=1)), queries.class_logits[:, -1]]
    )
    np.testing.assert_allclose(prediction.region_logits, region_logits, atol=1e-4)
    np.testing.assert_allclose(prediction.proposal_logits, proposal_logits, atol=1e-6)
    assert prediction.valid.tolist() == valid.tolist()
    for weight in (0.0, 0.7, 1.0):
        expected = fuse(proposal_logits, upsampled, region_logits, valid, weight).argmax(0).numpy()
        assert (prediction.label_map(weight) == expected).mean() > 0.99


def test_background_takes_its_pixels_out(tiny):
    image = fields()
    [(_, plain)] = segmenter(tiny, classes=[*CLASSES, ("other", "rest")]).predict([(image, "a", None)])
    [(_, with_background)] = segmenter(tiny, background=["other, rest"]).predict([(image, "a", None)])
    np.testing.assert_allclose(plain.region_logits, with_background.region_logits, atol=1e-4)
    everything = replace(plain, region_logits=plain.region_logits + np.array([0, 0, 0, 99], np.float32))
    assert (everything.label_map(1) == 3).all()
    assert (replace(with_background, region_logits=everything.region_logits).label_map(1) == UNLABELLED).all()


def test_predictions_come_in_order_and_do_not_depend_on_batches(tiny):
    sizes = [(24, 36), (10, 50), (60, 20), (33, 33), (8, 8)]
    images = [(fields(*size), str(size), size) for size in sizes]
    images[1] = (np.zeros_like(images[1][0]), "black", sizes[1])  # no proposals
    named = [list(segmenter(tiny, batch_size=size).predict(images)) for size in (1, 7, 100)]
    assert all([size for size, _ in predictions] == sizes for predictions in named)
    found = [[prediction for _, prediction in predictions] for predictions in named]
    for predictions in zip(*found, strict=True):
        for other in predictions[1:]:
            np.testing.assert_allclose(other.region_logits, predictions[0].region_logits, atol=1e-4)
    assert [p.masks.size for p in found[0]] == sizes
    assert found[0][1].region_logits.shape == (0, 3)
    assert (found[0][1].label_map(0.7) == UNLABELLED).all()


def test_images_are_taken_as_they_are_needed(tiny):
    taken = []

    def images():
        for number in range(100):
            taken.append(number)
            yield fields(), str(number), number

    predictions = segmenter(tiny, batch_size=5).predict(images())
    for number in range(10):
        assert next(predictions)[0] == number
        # Read ahead are three images, and those of two batches, of at least one region each.
        assert len(taken) <= number + 1 + ColourProposer.batch_size + 3 + 2 * 5
    predictions.close()
    count = len(taken)
    assert count < 40
    assert next(predictions, None) is None
    assert len(taken) == count


@pytest.mark.parametrize("size", [(1, 1), (40, 1), (1, 40), (3, 500)])
@pytest.mark.parametrize("proposer", [ColourProposer, ColourQueries, lambda: load_proposer(ProposalsConfig())])
def test_thin_images(tiny, size, proposer):
    [(_, prediction)] = segmenter(tiny, proposer()).predict([(fields(*size), "thin", None)])
    assert prediction.label_map(0.7).shape == size


class OneMask(ColourQueries):
    """A query that reaches the threshold nowhere, or somewhere."""

    def __init__(self, logit, class_logit=0.0):
        super().__init__()
        self._logit, self._class_logit = logit, class_logit

    def _queries(self, image, texts_ND):
        mask_logits = np.full((1, 4, 4), self._logit, np.float32)
        return Queries(mask_logits, np.full((1, len(texts_ND) + 1), self._class_logit, np.float32))


@pytest.mark.parametrize(("logit", "valid"), [(3, 1), (-3, 0)])
def test_none_or_one_valid_mask(tiny, logit, valid):
    [(_, prediction)] = segmenter(tiny, OneMask(logit)).predict([(fields(), "a", None)])
    assert prediction.valid.tolist() == [bool(valid)]
    assert prediction.region_logits.shape == (valid, 3)
    labels = prediction.label_map(0.7)
    assert len(np.unique(labels)) == 1
    assert labels[0, 0] < 3


@pytest.mark.parametrize("logits", [{"logit": np.nan}, {"logit": 1, "class_logit": np.nan}])
def test_logits_that_are_not_numbers_cost_the_image(tiny, logits):
    with pytest.raises(ImageProblem, match="logits that are not numbers"):
        next(segmenter(tiny, OneMask(**logits)).predict([(fields(), "a", None)]))


def test_embeddings_that_are_not_numbers_are_reported(tiny_folder):
    from pipeline.clip import load_clip

    clip = load_clip(f"local-dir:{tiny_folder}")
    built = segmenter(clip)
    clip.vision.visual.proj.data.fill_(torch.nan)
    with pytest.raises(UserError, match=r"clip\.precision"):
        next(built.predict([(fields(), "a", None)]))


class OtherClasses(ColourQueries):
    """Was trained for two classes and has not noticed that others are asked for."""

    def _queries(self, image, texts_ND):
        return Queries(np.zeros((1, 4, 4), np.float32), np.zeros((1, 3), np.float32))


def test_logits_for_other_classes_are_reported(tiny):
    with pytest.raises(UserError, match=r"\[1, 3\] for 6 names; they must be \[Q,h,w\] and \[Q,7\]"):
        next(segmenter(tiny, OtherClasses()).predict([(fields(), "a", None)]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": []}, "classes: no classes"),
        ({"background": ["grass"]}, "segmentation.background: 'grass' is also a class"),
        ({"background": ["x", "x"]}, "segmentation.background: two classes are called 'x'"),
        ({"weight": 1.2}, "segmentation.weight is 1.2; it must be at least 0 and at most 1"),
        ({"weight": 0}, "segmentation.weight: 0 takes .* \\(colours\\)"),
        ({"temperature": 0}, "segmentation.temperature is 0; it must be above 0"),
        ({"mask_threshold": 1}, "segmentation.mask_threshold is 1; it must be above 0 and below 1"),
    ],
)
def test_configurations_without_meaning(tiny, settings, message):
    with pytest.raises(UserError, match=message):
        segmenter(tiny, **settings)
    if settings.get("weight") == 0:
        segmenter(tiny, ColourQueries(), **settings)


def test_five_thousand_classes(tiny):
    classes = [(f"thing {number}",) for number in range(5000)]
    [(_, prediction)] = segmenter(tiny, classes=classes, templates="none").predict([(fields(), "a", None)])
    chosen = int(prediction.label_map(1)[0, 0])
    assert chosen < 5000
    assert prediction.region_logits.shape == (5, 5000)


def test_proposals_may_be_given(tiny):
    """The second stage alone takes any masks, such as ground truth."""
    image = fields()
    whole = Proposals(Masks.encode(np.ones((1, 24, 36), bool)), np.ones(1, np.float32))
    [(companion, prediction)] = segmenter(tiny).classify([(image, whole, 0.5, "anything")])
    assert companion == "anything"
    assert (prediction.label_map(1) == prediction.region_logits[0].argmax()).all()
