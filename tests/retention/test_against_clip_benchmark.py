"""The same figures as the package `clip_benchmark` on the same files, within 1e-6, read by both in their own way."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from sklearn.metrics import top_k_accuracy_score
from torchvision.datasets import CocoCaptions, ImageFolder

from pipeline.clip import Clip
from pipeline.clip.templates import TEMPLATES as SETS
from pipeline.retention.config import ImageSetConfig, RetentionConfig
from pipeline.retention.measuring import measure
from pipeline.retention.sets import open_image_set
from pipeline.retention.sets.cifar import TEMPLATES
from tests.retention.pictures import CLASSES, captions_of, write_cifar_10, write_coco

reason = "clip_benchmark is not installed: make .venv/installed, or uv pip install --no-deps clip-benchmark"
classification = pytest.importorskip("clip_benchmark.metrics.zeroshot_classification", reason=reason)
retrieval = pytest.importorskip("clip_benchmark.metrics.zeroshot_retrieval", reason=reason)
builder = pytest.importorskip("clip_benchmark.datasets.builder", reason=reason)
flickr = pytest.importorskip("clip_benchmark.datasets.flickr", reason=reason)
exporting = pytest.importorskip("clip_benchmark.webdataset_builder", reason=reason)

_BATCH = 7
_TEMPLATES = ["a photo of a {}.", "a blurry photo of the {}."]
_close = partial(pytest.approx, abs=1e-6)


@pytest.fixture(scope="module")
def stock(tiny_folder) -> tuple:
    """The same CLIP as open_clip itself loads it: model, preprocessing, tokenizer."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tiny_folder}")
    return model.eval(), preprocess, open_clip.get_tokenizer(f"local-dir:{tiny_folder}")


def classified_by_it(stock: tuple, loader, classes: list[str], templates: list[str]) -> dict[str, float]:
    """Its classifier, its loop and its measures; only its `accuracy` fails with NumPy of today, which makes no number
    of an array of one, so that scikit-learn counts its logits.
    """
    model, _, tokenizer = stock
    classifier = classification.zero_shot_classifier(model, tokenizer, classes, templates, "cpu", amp=False)
    logits, target = classification.run_classification(model, classifier, loader, "cpu", amp=False)
    labels = np.arange(len(classes))
    return {
        "acc1": top_k_accuracy_score(target, logits, k=1, labels=labels),
        "acc5": top_k_accuracy_score(target, logits, k=5, labels=labels),
        "mean_per_class_recall": classification.balanced_accuracy_score(target, logits.argmax(axis=1)),
    }


def with_c(templates: list[str]) -> list[str]:
    return [template.replace("{}", "{c}") for template in templates]


def retrieved_by_it(stock: tuple, loader) -> dict[str, float]:
    model, _, tokenizer = stock
    return retrieval.evaluate(model, loader, tokenizer, "cpu", amp=False, recall_k_list=[1, 5, 10])


def ours(tiny: Clip, kind: str, root: Path, **more) -> dict[str, float | None]:
    images = open_image_set(ImageSetConfig(kind, str(root), **more))  # type: ignore[arg-type]
    return measure(tiny, images, RetentionConfig(batch_size=5)).scores


def assert_same_accuracies(found: dict, expected: dict) -> None:
    assert found["top1"] == _close(expected["acc1"])
    assert found["top5"] == _close(expected["acc5"])
    assert found["mean_per_class"] == _close(expected["mean_per_class_recall"])


def assert_same_recalls(found: dict, expected: dict) -> None:
    assert len(found) == len(expected) == 6
    for k in (1, 5, 10):
        assert found[f"image_recall_at_{k}"] == _close(expected[f"image_retrieval_recall@{k}"])
        assert found[f"text_recall_at_{k}"] == _close(expected[f"text_retrieval_recall@{k}"])


def test_class_folders(tiny, stock, class_folders):
    found = ours(tiny, "class_folders", class_folders, templates=_TEMPLATES)
    loader = torch.utils.data.DataLoader(ImageFolder(class_folders, stock[1]), batch_size=_BATCH)
    expected = classified_by_it(stock, loader, list(CLASSES), with_c(_TEMPLATES))
    assert_same_accuracies(found, expected)
    assert 0 < found["top1"] < found["top5"] < 1


def test_its_own_layout_of_classes(tiny, stock, class_folders, tmp_path):
    folders = ImageFolder(class_folders, exporting.PIL_to_bytes("png"))
    folders.classes, folders.templates = list(CLASSES), with_c(_TEMPLATES)
    exporting.convert_dataset(folders, "test", str(tmp_path), image_format="png", max_count=10, verbose=False)
    assert (tmp_path / "test" / "3.tar").is_file()
    built = builder.build_dataset("wds/drawn", root=str(tmp_path), transform=stock[1], split="test")
    loader = torch.utils.data.DataLoader(built.batched(_BATCH), batch_size=None)
    expected = classified_by_it(stock, loader, built.classes, built.templates)
    found = ours(tiny, "webdataset", tmp_path)
    assert_same_accuracies(found, expected)
    assert found == ours(tiny, "class_folders", class_folders, templates=_TEMPLATES)


class _Arrays(torch.utils.data.Dataset):
    def __init__(self, images_NHW3: np.ndarray, transform) -> None:
        self._images, self._transform = images_NHW3, transform

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self._transform(Image.fromarray(self._images[index])), index % 10


def test_cifar_10(tiny, stock, tmp_path):
    images_NHW3 = write_cifar_10(tmp_path)
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    loader = torch.utils.data.DataLoader(_Arrays(images_NHW3, stock[1]), batch_size=_BATCH)
    expected = classified_by_it(stock, loader, classes, with_c(TEMPLATES))
    for root in (tmp_path, tmp_path / "cifar-10-batches-py"):
        assert_same_accuracies(ours(tiny, "cifar_10", root), expected)


def test_its_templates_of_cifar_and_imagenet():
    """Those that it takes by default are those that the sets here come with."""
    folder = Path(builder.__file__).parent
    its = json.loads((folder / "en_zeroshot_classification_templates.json").read_text())
    for name, own in (("cifar10", TEMPLATES), ("cifar100", TEMPLATES), ("imagenet1k", SETS["imagenet"])):
        assert sorted(template.replace("{c}", "{}") for template in its[name]) == sorted(own)


def test_coco_captions(tiny, stock, tmp_path):
    write_coco(tmp_path)
    annotations = tmp_path / "annotations" / "captions_val2017.json"
    loader = torch.utils.data.DataLoader(
        CocoCaptions(tmp_path / "val2017", annotations, stock[1]),
        batch_size=_BATCH,
        collate_fn=builder.image_captions_collate_fn,
    )
    found = ours(tiny, "coco_captions", tmp_path)
    assert_same_recalls(found, retrieved_by_it(stock, loader))
    assert 0 < found["image_recall_at_1"] < found["image_recall_at_10"] < 1


def test_flickr30k_and_its_own_layout_of_captions(tiny, stock, tmp_path):
    write_coco(tmp_path / "coco")
    root = tmp_path / "flickr"
    (root / "flickr30k-images").mkdir(parents=True)
    lines = ["image,caption"]
    for number, path in enumerate(sorted((tmp_path / "coco" / "val2017").iterdir())):
        (root / "flickr30k-images" / path.name).write_bytes(path.read_bytes())
        lines += [f"{path.name},{caption}" for caption in captions_of(number)]
    annotations = root / "flickr30k_test_karpathy.txt"
    annotations.write_text("\n".join(lines))
    images = flickr.Flickr(str(root / "flickr30k-images"), str(annotations), stock[1])
    loader = torch.utils.data.DataLoader(images, batch_size=_BATCH, collate_fn=builder.image_captions_collate_fn)
    expected = retrieved_by_it(stock, loader)
    assert_same_recalls(ours(tiny, "flickr30k", root), expected)

    stored = flickr.Flickr(str(root / "flickr30k-images"), str(annotations), exporting.PIL_to_bytes("png"))
    exporting.convert_retrieval_dataset(stored, "test", str(tmp_path / "wds"), image_format="png", verbose=False)
    built = builder.build_dataset(
        "wds/drawn", root=str(tmp_path / "wds"), transform=stock[1], split="test", task="zeroshot_retrieval"
    )
    loader = torch.utils.data.DataLoader(built.batched(_BATCH), batch_size=None)
    found = ours(tiny, "webdataset", tmp_path / "wds")
    assert_same_recalls(found, retrieved_by_it(stock, loader))
    assert_same_recalls(found, expected)
