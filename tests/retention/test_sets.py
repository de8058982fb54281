"""Sets of whole images in their distributions: what is read, and what is said of what cannot be."""

import io
import json
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from PIL import Image

from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.retention.config import ImageSetConfig
from pipeline.retention.sets import CaptionedImages, ClassifiedImages, open_image_set
from tests.retention.pictures import CLASSES, captions_of, picture, write_cifar_10, write_coco, write_picture

FOLDERS = [name.replace(" ", "_") for name in CLASSES]


def opened(kind: str, root: Path, **more: Any) -> Any:
    return open_image_set(ImageSetConfig(kind, str(root), **more))  # type: ignore[arg-type]


def problems(images: ClassifiedImages | CaptionedImages) -> dict[str, str]:
    """By image id, why it cannot be read."""
    found = {}
    for index, image_id in enumerate(images.image_ids):
        try:
            _ = images.pictures[index]
        except ImageProblem as problem:
            found[image_id] = problem.reason
    return found


def test_class_folders(class_folders):
    images = opened("class_folders", class_folders)
    assert images.classes == list(CLASSES)
    assert images.templates == "imagenet"
    assert images.notes == ()
    expected = sorted(str(path.relative_to(class_folders)) for path in class_folders.rglob("*.*"))
    assert images.image_ids == expected
    for index, path in enumerate(expected):
        assert images.pictures[index] == (class_folders / path).read_bytes()
        assert images.classes[images.labels[index]] == path.partition("/")[0].replace("_", " ")


def test_class_folders_by_another_name(class_folders, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(class_folders, root)
    names = ["airplane", "golden_retriever: dog", "red_bus: bus, a red one", "sofa", "tree", "zebra: striped: horse"]
    (root / "classes.txt").write_text("\n".join(names))
    images = opened("class_folders", root, classes="classes.txt", templates="photo")
    assert images.classes == ["airplane", "dog", "bus, a red one", "sofa", "tree", "striped: horse"]
    assert images.templates == "photo"
    assert images.identity != opened("class_folders", root).identity
    elsewhere = opened("class_folders", root, classes=str(root / "classes.txt"), templates="photo")
    assert elsewhere.identity == images.identity


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (CLASSES[:-1], r"dataset\.classes: .* does not list the folders golden_retriever, red_bus, zebra of"),
        ([*FOLDERS, "lion"], "lists lion, and .* no such folder"),
        (["airplane", "golden_retriever: sofa", "red_bus", "sofa", "tree", "zebra"], r"two classes 'sofa'"),
        (["airplane", "airplane: jet"], r"lists airplane twice"),
        (["airplane:"], r'holds "airplane:", expected are lines like'),
    ],
)  # fmt: skip
def test_lists_of_classes_that_differ_from_the_folders(class_folders, tmp_path, lines, said):
    path = tmp_path / "classes.txt"
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match=said):
        opened("class_folders", class_folders, classes=str(path))


def test_a_class_without_images_is_told(class_folders, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(class_folders, root)
    (root / "unicorn").mkdir()
    (root / "unicorn" / "notes.txt").write_text("none yet")
    (root / ".cache").mkdir()
    (root / "read-me.jpg").write_bytes(b"")
    images = opened("class_folders", root)
    assert "unicorn" in images.classes
    assert len(images.image_ids) == 36
    [note] = images.notes
    assert "1 of 7 classes have no images" in note
    assert "unicorn" in note


def test_two_folders_with_one_name(tmp_path):
    for folder in ("red_bus", "red bus"):
        write_picture(tmp_path / folder / "a.png", 1)
    with pytest.raises(UserError, match="two classes 'red bus'"):
        opened("class_folders", tmp_path)


@pytest.mark.parametrize("kind", ["class_folders", "imagenet"])
def test_folders_without_any_image(tmp_path, kind):
    (tmp_path / "n01440764").mkdir()
    with pytest.raises(UserError, match=r"dataset\.root: .* holds no images in folders of classes"):
        opened(kind, tmp_path)


def test_imagenet_in_folders(tmp_path):
    for folder in ("n01440764", "n02084071"):
        write_picture(tmp_path / "val" / folder / "ILSVRC2012_val_00000001.JPEG", 1)
    with pytest.raises(UserError, match=r"none of the 1,000 classes: n02084071"):
        opened("imagenet", tmp_path)
    (tmp_path / "val" / "n02084071").rename(tmp_path / "val" / "n15075141")
    for root in (tmp_path, tmp_path / "val"):
        images = opened("imagenet", root)
        assert images.classes == list(IMAGENET_CLASSNAMES)
        assert (images.templates, images.labels.tolist()) == ("imagenet", [0, 999])
        assert [images.classes[label] for label in images.labels] == ["tench", "toilet paper"]
        assert "998 of 1000 classes have no images" in images.notes[0]


def test_imagenet_as_its_archive_has_it(tmp_path):
    """Two classes, whose numbers in the development kit are in another order than their WordNet ids."""
    for number in (1, 2, 3):
        write_picture(tmp_path / "val" / f"ILSVRC2012_val_{number:08d}.JPEG", number)
    kit = tmp_path / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    with pytest.raises(UserError, match=r"holds no ILSVRC2012_devkit_t12/data/"):
        opened("imagenet", tmp_path)
    rows = np.array(
        [(1, "n15075141"), (2, "n01440764"), (1001, "n00001740")], dtype=[("ILSVRC2012_ID", object), ("WNID", object)]
    )
    scipy.io.savemat(kit / "meta.mat", {"synsets": rows})
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n1\n")
    assert opened("imagenet", tmp_path).labels.tolist() == [999, 0, 999]
    for text in ("1\n2\n", "1\n2\n7\n", "1\n2\nn15075141\n"):
        (kit / "ILSVRC2012_validation_ground_truth.txt").write_text(text)
        with pytest.raises(UserError, match="does not give each image a class"):
            opened("imagenet", tmp_path)
    (kit / "meta.mat").write_bytes(b"no matrix")
    with pytest.raises(UserError, match=r"meta\.mat is not the table of classes"):
        opened("imagenet", tmp_path)


def test_cifar_10(tmp_path):
    images_NHW3 = write_cifar_10(tmp_path)
    images = opened("cifar_10", tmp_path)
    assert np.array_equal(np.stack([images.pictures[index] for index in range(40)]), images_NHW3)
    assert images.labels.tolist() == [number % 10 for number in range(40)]
    assert images.classes[:3] == ["airplane", "automobile", "bird"]
    assert len(images.templates) == len(set(images.templates)) == 18
    train = opened("cifar_10", tmp_path, split="train")
    assert len(train.image_ids) == 200
    with pytest.raises(UserError, match=r"dataset\.split: cifar_10 has test and train, not val"):
        opened("cifar_10", tmp_path, split="val")


class _Calls:
    def __reduce__(self) -> tuple:
        return print, ("called",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no pickle", "is no pickle of arrays and lists"),
        (pickle.dumps(_Calls()), r"is no pickle of arrays and lists \(it would call"),
        (pickle.dumps([1, 2]), "holds a list, not a dictionary"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8)}), "holds no images with labels"),
        (pickle.dumps({b"data": np.zeros((2, 9), np.uint8), b"labels": [0, 1]}), "holds no images with labels"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 10]}), "2 labels of 10 classes"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]}), "holds 2 images, and 1 labels"),
    ],
)
def test_cifar_that_is_none(tmp_path, content, said, capsys):
    write_cifar_10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(content)
    with pytest.raises(UserError, match=said):
        opened("cifar_10", tmp_path)
    assert "called" not in capsys.readouterr().out


def test_cifar_100(tmp_path):
    rows = np.stack([picture(number, 32, 32).transpose(2, 0, 1).reshape(-1) for number in range(4)])
    fine = {b"data": rows, b"fine_labels": [0, 1, 2, 1], b"coarse_labels": [0, 0, 0, 0]}
    (tmp_path / "test").write_bytes(pickle.dumps(fine))
    (tmp_path / "meta").write_bytes(pickle.dumps({b"fine_label_names": [b"apple", b"aquarium_fish", b"baby"]}))
    images = opened("cifar_100", tmp_path)
    assert (images.labels.tolist(), images.classes) == ([0, 1, 2, 1], ["apple", "aquarium fish", "baby"])


def test_coco_captions(tmp_path):
    write_coco(tmp_path, images=5)
    images = opened("coco_captions", tmp_path)
    assert images.image_ids == ["1", "2", "3", "4", "5"]
    assert images.captions == [captions_of(number) for number in range(5)]
    assert images.pictures[2] == (tmp_path / "val2017" / "000000000003.jpg").read_bytes()
    assert not problems(images)


def test_captions_and_images_that_do_not_meet(tmp_path):
    write_coco(tmp_path, images=5)
    path = tmp_path / "annotations" / "captions_val2017.json"
    content = json.loads(path.read_text())
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] != 2]
    content["annotations"].append({"id": 99, "image_id": 77, "caption": "of an image that is not there"})
    path.write_text(json.dumps(content))
    (tmp_path / "val2017" / "000000000004.jpg").unlink()
    images = opened("coco_captions", tmp_path)
    assert problems(images) == {"2": "no_captions", "77": "unknown_image", "4": "missing_file"}


@pytest.mark.parametrize(
    ("change", "more", "said"),
    [
        (lambda root: shutil.rmtree(root / "annotations"), {}, r"holds no annotations/captions_val2017\.json\. It is"),
        (lambda root: shutil.rmtree(root / "val2017"), {}, r"holds no val2017\. It is part of http://images\.coco"),
        (lambda root: None, {"split": "val2014"}, r"holds no annotations/captions_val2014\.json"),
        (
            lambda root: (root / "annotations" / "captions_val2017.json").write_text("[]"),
            {},
            r"dataset\.annotations: .* holds a JSON list",
        ),
        (lambda root: None, {"templates": "photo"}, r"dataset\.templates: captions are embedded as they are"),
    ],
)
def test_coco_that_is_not_whole(tmp_path, change, more, said):
    write_coco(tmp_path, images=2)
    change(tmp_path)
    with pytest.raises(UserError, match=said):
        opened("coco_captions", tmp_path, **more)


def test_all_files_of_flickr30k_say_the_same(tmp_path):
    texts = {f"{number}.jpg": captions_of(number) for number in range(4)}
    for number, name in enumerate(texts):
        write_picture(tmp_path / "flickr30k-images" / name, number)
    lines = [f"{name},{text}" for name, found in texts.items() for text in found]
    (tmp_path / "flickr30k_test_karpathy.txt").write_text("\n".join(["image,caption", *lines]))
    lines = [f"{name}#{place}\t{text}" for name, found in texts.items() for place, text in enumerate(found)]
    (tmp_path / "results_20130124.token").write_text("\n".join(lines))
    images = [
        {
            "filename": name,
            "split": "test" if name != "3.jpg" else "val",
            "sentences": [{"raw": text} for text in found],
        }
        for name, found in texts.items()
    ]
    (tmp_path / "dataset_flickr30k.json").write_text(json.dumps({"images": images}))
    found = opened("flickr30k", tmp_path)
    assert found.name == "flickr30k/test"
    assert dict(zip(found.image_ids, found.captions, strict=True)) == {name: texts[name] for name in list(texts)[:3]}
    for annotations in ("flickr30k_test_karpathy.txt", "results_20130124.token"):
        found = opened("flickr30k", tmp_path, annotations=annotations)
        assert dict(zip(found.image_ids, found.captions, strict=True)) == texts
        assert not problems(found)
    with pytest.raises(UserError, match=r"dataset\.split: .* has test, val, not train"):
        opened("flickr30k", tmp_path, split="train")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a_karpathy.txt", "image,caption\n1.jpg a dog", 'has "1.jpg a dog" in line 2'),
        ("a_karpathy.txt", "image,caption\n", "has no captions of the split test"),
        ("a.token", "1.jpg#0 a dog", r'has "1.jpg#0 a dog" in line 1'),
        ("a.json", "[1, 2]", "is not as Karpathy's splits are"),
        ("a.json", '{"images": [{"filename": "1.jpg", "split": "test"}]}', "is not as Karpathy's splits are"),
    ],
)
def test_files_of_captions_that_are_none(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        opened("flickr30k", tmp_path, annotations=name)


def test_a_name_of_an_image_that_leads_out_of_the_folder(tmp_path):
    write_picture(tmp_path / "images" / "a.jpg", 1)
    write_picture(tmp_path / "secret.jpg", 2)
    (tmp_path / "a.token").write_text("a.jpg#0\ta dog\n../secret.jpg#0\ta cat\nhttp://x:y@z/b.jpg#0\ta bus")
    found = opened("flickr30k", tmp_path, annotations="a.token")
    assert problems(found) == {"../secret.jpg": "refused_address", "http://x:y@z/b.jpg": "secret_in_address"}


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def write_tars(root: Path, samples: dict[str, bytes], classes: str = "dog\nbus\nsofa\n") -> None:
    (root / "test").mkdir(parents=True)
    (root / "classnames.txt").write_text(classes)
    (root / "zeroshot_classification_templates.txt").write_text("a photo of a {c}.\n")
    (root / "test" / "nshards.txt").write_text("1\n")
    buffer = io.BytesIO()
    Image.fromarray(picture(1)).save(buffer, "PNG")
    with tarfile.open(root / "test" / "0.tar", "w") as tar:
        for name, content in samples.items():
            add(tar, name, content or buffer.getvalue())


def test_tars_in_which_much_is_wrong(tmp_path):
    good = {"s0.png": b"", "s0.cls": b"2", "s1.png": b"", "s1.cls": b"0\n"}
    odd = {
        "s2.png": b"",
        "s3.png": b"",
        "s3.cls": b"3",
        "s4.png": b"",
        "s4.cls": b"-1",
        "s5.png": b"",
        "s5.cls": b"dog",
        "s6.cls": b"1",
    }
    write_tars(tmp_path, good | odd)
    images = opened("webdataset", tmp_path)
    assert images.labels[:2].tolist() == [2, 0]
    assert images.classes == ["dog", "bus", "sofa"]
    assert images.templates == ["a photo of a {}."]
    assert problems(images) == {
        "0/s2": "no_label",
        "0/s3": "bad_label",
        "0/s4": "bad_label",
        "0/s5": "bad_label",
        "0/s6": "no_image",
    }
    assert "1 of 3 classes have no images" in images.notes[0]
    tar = tmp_path / "test" / "0.tar"
    tar.write_bytes(tar.read_bytes()[:2000])
    assert "truncated_tar" in problems(opened("webdataset", tmp_path)).values()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("test/nshards.txt", None, r"holds no test/nshards\.txt"),
        ("test/nshards.txt", "many", "holds 'many', not how many tars"),
        ("test/nshards.txt", "2", r"holds no test/1\.tar"),
        ("classnames.txt", None, r"holds no classnames\.txt"),
        ("classnames.txt", "dog\nbus\ndog", "two classes 'dog'"),
        ("zeroshot_classification_templates.txt", "a photo", "lines without one {c}"),
        ("dataset_type.txt", "multilabel", "says 'multilabel'"),
        ("dataset_type.txt", "retrieval", r"is for retrieval, not for classification: python -m jobs\.evaluate retri"),
    ],
)
def test_a_layout_that_is_not_whole(tmp_path, file, content, said):
    write_tars(tmp_path, {"s0.png": b"", "s0.cls": b"2"})
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=said):
        open_image_set(ImageSetConfig("webdataset", str(tmp_path)), "dataset", "classification")


def test_a_root_that_is_not_there_is_named_by_its_key(tmp_path):
    with pytest.raises(UserError, match=r"retention\.sets\[1\]\.root: .*nowhere"):
        open_image_set(ImageSetConfig("cifar_10", str(tmp_path / "nowhere")), "retention.sets[1]")
    with pytest.raises(UserError, match=r"holds no cifar-10-batches-py/test_batch\. It is part of cifar-10-python"):
        opened("cifar_10", tmp_path)


def test_a_part_of_a_set_is_spread_over_it(class_folders):
    images = opened("class_folders", class_folders)
    assert images.spread(None).tolist() == images.spread(99).tolist() == list(range(36))
    assert images.labels[images.spread(6)].tolist() == list(range(6))
