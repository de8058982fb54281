"""Accuracy and recall against slower ways to count them, and what is encoded against open_clip itself."""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from pipeline.clip.templates import TEMPLATES
from pipeline.errors import UserError
from pipeline.retention.classification import accuracies, classify, embed_classes
from pipeline.retention.config import ImageSetConfig, RetentionConfig
from pipeline.retention.encoding import encode_images
from pipeline.retention.measuring import KnownClasses, main_score, measure
from pipeline.retention.retrieval import embed_captions, recalls
from pipeline.retention.sets import CaptionedImages, open_image_set
from tests.retention.pictures import CLASSES, captions_of, picture, write_coco


def unit(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    return F.normalize(torch.from_numpy(rng.normal(size=shape)).float(), dim=-1)


@pytest.mark.parametrize("classes", [3, 5, 12])
def test_accuracies_as_scikit_learn_counts_them(classes):
    rng = np.random.default_rng(classes)
    features_ND, classes_CD = unit(rng, 200, 8), unit(rng, classes, 8)
    labels = rng.integers(0, classes - 1, 200)  # the last class has no images
    found = classify(features_ND, classes_CD, labels)
    scores = accuracies(found.rank, labels, classes)
    logits = (features_ND @ classes_CD.T).numpy()
    assert np.array_equal(found.nearest, logits.argmax(1))
    every = np.arange(classes)
    assert scores["top1"] == pytest.approx(top_k_accuracy_score(labels, logits, k=1, labels=every))
    assert scores["mean_per_class"] == pytest.approx(balanced_accuracy_score(labels, found.nearest))
    if classes < 5:
        assert scores["top5"] is None
    else:
        assert scores["top5"] == pytest.approx(top_k_accuracy_score(labels, logits, k=5, labels=every))


def test_of_equally_similar_classes_the_first_is_nearest():
    """An image that all classes fit alike is named rightly if it is of the first."""
    same_CD = F.normalize(torch.ones(6, 4), dim=-1)
    found = classify(same_CD, same_CD, np.arange(6))
    assert found.nearest.tolist() == [0] * 6
    assert found.rank.tolist() == [0, 1, 2, 3, 4, 5]


def test_nothing_to_measure():
    assert set(accuracies(np.zeros(0, int), np.zeros(0, int), 9).values()) == {None}
    nothing = torch.zeros(0, 1)
    assert set(recalls(nothing, nothing, np.zeros(0, int)).values()) == {None}
    assert main_score("classification", {"top1": None}) is None
    assert main_score("retrieval", {"image_recall_at_1": 0.25, "text_recall_at_1": 0.75}) == 0.5


def recalls_by_sorting(similarity_TN: np.ndarray, owner: np.ndarray) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    captions, images = similarity_TN.shape
    for name, rows, right, among in (
        ("image", similarity_TN, [{owner[text]} for text in range(captions)], images),
        ("text", similarity_TN.T, [set(np.flatnonzero(owner == image)) for image in range(images)], captions),
    ):
        for k in (1, 5, 10):
            best = np.argsort(-rows, axis=1, kind="stable")[:, :k]
            hits = [bool(right[row] & set(chosen)) for row, chosen in enumerate(best.tolist())]
            found[f"{name}_recall_at_{k}"] = float(np.mean(hits)) if among >= k else None
    return found


@settings(max_examples=50)
@given(st.integers(1, 30), st.integers(0, 4), st.integers(0, 2**32 - 1), st.booleans())
def test_recalls_as_sorting_finds_them(images, more, seed, coarse):
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(images), rng.integers(1, 2 + more, images))
    if coarse:  # whole numbers: many are equally similar, and all are exact
        images_ND = torch.from_numpy(rng.integers(-1, 2, (images, 3))).float()
        captions_TD = torch.from_numpy(rng.integers(-1, 2, (len(owner), 3))).float()
    else:
        images_ND, captions_TD = unit(rng, images, 16), unit(rng, len(owner), 16)
    expected = recalls_by_sorting((captions_TD.double() @ images_ND.double().T).numpy(), owner)
    assert recalls(images_ND, captions_TD, owner) == expected


@torch.inference_mode()
def test_features_are_those_of_open_clip(tiny, class_folders):
    images = open_image_set(ImageSetConfig("class_folders", str(class_folders)))
    found = encode_images(tiny, images, range(0, 36, 5), batch_size=3, readers=2)
    assert found.usable.all()
    for row, index in enumerate(range(0, 36, 5)):
        pixels = tiny.preprocess(Image.open(class_folders / images.image_ids[index]).convert("RGB"))
        expected = F.normalize(tiny.model.encode_image(pixels[None]), dim=-1)[0]
        torch.testing.assert_close(found.features[row], expected, rtol=0, atol=1e-6)
    texts = [*captions_of(3), "", "a " * 200]
    expected_TD = F.normalize(tiny.model.encode_text(tiny.tokenizer(texts)), dim=-1)
    torch.testing.assert_close(embed_captions(tiny, texts), expected_TD, rtol=0, atol=1e-6)
    classes_CD = embed_classes(tiny, images)
    prompts = [template.format(CLASSES[2]) for template in TEMPLATES["imagenet"]]
    mean_D = F.normalize(tiny.model.encode_text(tiny.tokenizer(prompts)), dim=-1).mean(0)
    torch.testing.assert_close(classes_CD[2], F.normalize(mean_D, dim=0), rtol=0, atol=1e-6)


def jpeg(orientation: int | None = None) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(picture(5, 40, 80)).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def test_images_that_cannot_be_read_are_counted_and_cost_themselves(tiny, tmp_path):
    write_coco(tmp_path, images=12)
    folder = tmp_path / "val2017"
    (folder / "000000000002.jpg").write_bytes(b"")
    (folder / "000000000005.jpg").write_bytes(b"no picture at all")
    (folder / "000000000007.jpg").write_bytes((folder / "000000000007.jpg").read_bytes()[:300])
    (folder / "000000000009.jpg").unlink()
    images = open_image_set(ImageSetConfig("coco_captions", str(tmp_path)))
    found = measure(tiny, images, RetentionConfig())
    assert found.rejected == {"damaged": 1, "empty_file": 1, "missing_file": 1, "not_an_image": 1}
    assert found.images == 8
    # As if they had never been listed.
    left = [index for index in range(12) if index + 1 not in (2, 5, 7, 9)]
    assert isinstance(images, CaptionedImages)
    encoded = encode_images(tiny, images, left, batch_size=3, readers=1)
    captions = [images.captions[index] for index in left]
    texts_TD = embed_captions(tiny, [text for texts in captions for text in texts])
    owner = np.repeat(np.arange(8), [len(texts) for texts in captions])
    expected = recalls_by_sorting((texts_TD @ encoded.features.T).numpy(), owner)
    assert found.scores == pytest.approx(expected)
    assert found.main == pytest.approx((expected["image_recall_at_1"] + expected["text_recall_at_1"]) / 2)


def test_an_image_is_taken_as_it_is_stored(tiny, tmp_path):
    """As published figures are made: EXIF turns nothing."""
    for name, orientation in (("plain", None), ("turned", 6)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(jpeg(orientation))
    images = open_image_set(ImageSetConfig("class_folders", str(tmp_path)))
    plain_D, turned_D = encode_images(tiny, images, [0, 1], batch_size=2, readers=1).features
    torch.testing.assert_close(plain_D, turned_D)


def test_a_clip_without_numbers_is_refused(tiny, class_folders):
    """Nothing is greater than what is no number, so every rank would be the first."""
    images = open_image_set(ImageSetConfig("class_folders", str(class_folders)))
    weight = tiny.vision.visual.proj
    kept = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.fill_(float("nan"))
        with pytest.raises(UserError, match="embeddings are not all numbers"):
            measure(tiny, images, RetentionConfig())
    finally:
        with torch.no_grad():
            weight.copy_(kept)


def test_classes_are_embedded_again_when_the_text_tower_has_changed(tiny, class_folders):
    images = open_image_set(ImageSetConfig("class_folders", str(class_folders), templates="photo"))
    known = KnownClasses()
    first_CD = known.of(tiny, images)
    assert known.of(tiny, images) is first_CD
    weight = tiny.model.token_embedding.weight
    kept = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.mul_(torch.linspace(0.5, 2, weight.shape[1]))
        assert not torch.allclose(known.of(tiny, images), first_CD)
    finally:
        with torch.no_grad():
            weight.copy_(kept)
