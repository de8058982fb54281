"""Layouts of captions as others distribute them: miniatures with the bytes of the originals."""

import gzip
import json
from pathlib import Path

import pytest

from pipeline.captions import CaptionsConfig, open_captions
from pipeline.errors import UserError
from pipeline.storage.uris import join
from tests.captions.sources import bad, good, rows_of
from tests.captions.tables import captions, message

FLICKR_8K = (
    b"1000268201_693b08cb0e.jpg#0\tA child in a pink dress is climbing up a set of stairs in an entry way .\n"
    b"1000268201_693b08cb0e.jpg#1\tA girl going into a wooden building .\n"
    b"1001773457_577c3a7d70.jpg#0\tA black dog and a spotted dog are fighting\n"
    b'2258277193_586949ec62.jpg.1#0\t"people waiting" to ride\n'
)
FLICKR_30K = (
    b"image_name| comment_number| comment\n"
    b"1000092795.jpg| 0| Two young guys with shaggy hair look at their hands while hanging out in the yard .\n"
    b"1000092795.jpg| 1| Two young , White males are outside near many bushes .\n"
    b"2199200615.jpg| 3| A dog runs across the grass .\n"
    b"2199200615.jpg| 4   A dog runs across the grass .\n"
)
"""The last line is wrong in the original, too."""


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_token_file_of_flickr8k(tmp_path: Path, ending: bytes, packed: bool) -> None:
    path = tmp_path / ("Flickr8k.token.txt" + (".gz" if packed else ""))
    data = FLICKR_8K.replace(b"\n", ending)
    path.write_bytes(gzip.compress(data) if packed else data)
    root = str(tmp_path)
    assert rows_of(CaptionsConfig("flickr", str(path), images=root)) == [
        good(
            "1000268201_693b08cb0e.jpg", f"{root}/1000268201_693b08cb0e.jpg",
            "A child in a pink dress is climbing up a set of stairs in an entry way .",
            "A girl going into a wooden building .",
        ),
        good(
            "1001773457_577c3a7d70.jpg", f"{root}/1001773457_577c3a7d70.jpg",
            "A black dog and a spotted dog are fighting",
        ),
        good(
            "2258277193_586949ec62.jpg.1", f"{root}/2258277193_586949ec62.jpg.1", '"people waiting" to ride'
        ),
    ]  # fmt: skip


def test_the_table_with_bars_of_flickr30k(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_bytes(FLICKR_30K + b"caf\xe9.jpg| 0| a\n")
    rows = rows_of(CaptionsConfig("flickr", str(tmp_path / "results.csv"), images=str(tmp_path)))
    found = {row["image_id"]: row.get("problem", row["captions"]) for row in rows}
    assert found == {
        "1000092795.jpg": [
            "Two young guys with shaggy hair look at their hands while hanging out in the yard .",
            "Two young , White males are outside near many bushes .",
        ],
        "2199200615.jpg": ["A dog runs across the grass ."],
        "results.csv:5": "bad_row",
        "caf?.jpg": "bad_text",
    }


def test_flickr_files_of_another_form_are_named(tmp_path: Path) -> None:
    path = tmp_path / "captions.txt"
    path.write_text("image,caption\n1.jpg,a dog\n")

    def said(**options: object) -> str:
        with pytest.raises(UserError) as caught:
            rows_of(CaptionsConfig("flickr", str(path), **{"images": str(tmp_path)} | options))
        return str(caught.value)

    assert "begins with 'image,caption'; looked for is NAME.jpg#0<TAB>CAPTION" in said()
    assert "captions.format table" in said()
    assert "captions.images: must be set" in said(images=None)
    assert said(where="number = 0").startswith("captions.where: ")
    assert said(keep=["number"]).startswith("captions.keep: ")


KARPATHY = {
    "images": [
        {
            "filepath": "val2014", "sentids": [770337, 771687], "filename": "COCO_val2014_000000391895.jpg",
            "imgid": 0, "split": "test", "cocoid": 391895,
            "sentences": [
                {"tokens": ["a", "man"], "raw": "A man with a red helmet", "imgid": 0, "sentid": 770337},
                {"tokens": ["man"], "raw": "Man riding a motor bike", "imgid": 0, "sentid": 771687},
            ],
        },
        {
            "filepath": "train2014", "sentids": [3], "filename": "COCO_train2014_000000000009.jpg",
            "imgid": 1, "split": "restval", "cocoid": 9,
            "sentences": [{"tokens": ["a"], "raw": "A dog", "imgid": 1, "sentid": 3}],
        },
    ],
    "dataset": "coco",
}  # fmt: skip


def karpathy(folder: Path, document: object, **options: object) -> CaptionsConfig:
    (folder / "dataset_coco.json").write_text(json.dumps(document))
    return CaptionsConfig("karpathy", str(folder / "dataset_coco.json"), **{"images": str(folder)} | options)


def test_karpathys_file_of_coco(tmp_path: Path) -> None:
    root = str(tmp_path)
    dog = good("9", f"{root}/train2014/COCO_train2014_000000000009.jpg", "A dog")
    man = good(
        "391895", f"{root}/val2014/COCO_val2014_000000391895.jpg", "A man with a red helmet", "Man riding a motor bike"
    )
    assert rows_of(karpathy(tmp_path, KARPATHY)) == [man, dog]
    source = open_captions(karpathy(tmp_path, KARPATHY, where="split in ('train', 'restval')", keep=["split", "imgid"]))
    [batch] = source.batches()
    assert batch.to_pylist() == [dict.fromkeys(batch.schema.names) | dog | {"kept": {"split": "restval", "imgid": "1"}}]
    assert source.dropped == 1


def test_karpathys_file_of_flickr_and_what_is_wrong_in_one(tmp_path: Path) -> None:
    images = [
        {"filename": "1.jpg", "sentences": [{"raw": "a"}, {"raw": None}, {"raw": 3}, 4], "split": "train"},
        {"filename": "2.jpg", "sentences": [], "split": "train"},
        {"sentences": [{"raw": "b"}]},
        "3.jpg",
        {"filename": "../4.jpg", "sentences": [{"raw": "c"}]},
    ]
    root = str(tmp_path)
    rows = rows_of(karpathy(tmp_path, {"images": images, "dataset": "flickr30k"}))
    assert rows[0]["problem"] in ("bad_record", "null_image")
    assert {row["problem"] for row in rows[:2]} == {"bad_record", "null_image"}
    assert [(row["image_id"], row.get("problem"), row["captions"]) for row in rows[2:]] == [
        ("../4.jpg", "refused_address", ["c"]),
        ("1.jpg", None, ["a"]),
        ("1.jpg", "null_caption", []),
        ("1.jpg", "bad_caption", []),
        ("1.jpg", "null_caption", []),
        ("2.jpg", "null_caption", []),
    ]
    assert rows[3]["image_uri"] == f"{root}/1.jpg"


def test_files_of_another_kind_name_what_they_have_and_which_format_they_are(tmp_path: Path) -> None:
    coco = {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [{"id": 1, "image_id": 1, "caption": "a"}]}
    with pytest.raises(UserError, match="its images have id, file_name; looked for are 'filename' and 'sentences'"):
        rows_of(karpathy(tmp_path, coco))
    path = str(karpathy(tmp_path, KARPATHY).path)
    with pytest.raises(UserError, match=r"no list 'annotations'.*found: images, dataset.*captions.format karpathy"):
        rows_of(CaptionsConfig("coco", path, images=str(tmp_path)))
    with pytest.raises(
        UserError, match="an object with 'images', 'dataset'; a file with 'images' and 'annotations' is"
    ):
        rows_of(CaptionsConfig("table", path, images=str(tmp_path)))


# JSON lines


def test_json_lines_as_image_folders_of_hugging_face_have_them(tmp_path: Path) -> None:
    lines = [
        b'{"file_name": "0001.png", "text": "a red ball"}',
        b"",
        b'{"file_name": "0002.png", "text": ["a box", "a \\"blue\\" box \\ud83d\\ude00"]}\r',
        b'{"file_name": "0003.png"}',
        b'{"file_name": "0004.png", "text": 5}',
        b'{"file_name": "0005.png", "text": {"en": "a"}}',
        b'{"file_name": "0006.png", "text": "half a pair \\ud83d"}',
        b'{"file_name": "0007.png", "text": "caf\xe9"}',
        b'{"file_name": null, "text": "a"}',
        b'{"text": "a", "text": "b", "file_name": "0008.png"}',
        b"not JSON",
        b'["0009.png", "a"]',
        b'{"file_name": "0010.png", "text": null}',
        b'{"file_name": "0011.png", "text": "[\\"c\\", \\"d\\"]"}',
    ]
    path = tmp_path / "metadata.jsonl"
    path.write_bytes(b"\n".join(lines))
    names = {"image_column": "file_name", "caption_column": "text"}
    expected = {
        "0001.png": ["a red ball"],
        "0002.png": ["a box", 'a "blue" box 😀'],
        "0003.png": "null_caption",
        "0004.png": "bad_caption",
        "0005.png": "bad_caption",
        "0006.png": ["half a pair ?"],
        "0007.png": "bad_text",
        "": "null_image",
        "metadata.jsonl:10": "bad_row",
        "metadata.jsonl:11": "bad_row",
        "metadata.jsonl:12": "bad_row",
        "0010.png": "null_caption",
        "0011.png": ["c", "d"],
    }
    assert captions(path, **names) == expected
    packed = tmp_path / "metadata.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert captions(packed, **names) == {name.replace("jsonl:", "jsonl.gz:"): found for name, found in expected.items()}


def test_a_json_list_of_objects_as_blip_has_it(tmp_path: Path) -> None:
    rows = [
        {"caption": "A woman wearing a net on her head", "image": "val2014/COCO_1.jpg", "image_id": "coco_57870"},
        {
            "caption": "A woman cutting a large white sheet cake",
            "image": "val2014/COCO_1.jpg",
            "image_id": "coco_57870",
        },
        {"caption": ["A child", "A bike"], "image": "val2014/COCO_2.jpg", "image_id": 12},
    ]
    (tmp_path / "coco_karpathy_train.json").write_text(json.dumps(rows))
    (tmp_path / "description.json").write_text("{}")
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, rows)))
    expected = {"coco_57870": [rows[0]["caption"], rows[1]["caption"]], "12": ["A child", "A bike"]}
    assert captions(tmp_path / "coco_karpathy_train.json", id_column="image_id") == expected
    assert captions(tmp_path, id_column="image_id") == expected  # .json in a folder is anything
    assert "it has caption, image, image_id" in message(tmp_path / "lines.jsonl", image_column="picture")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b"", "it is empty"),
        ("a.jsonl", b'[\n{"image": "1.jpg", "caption": "a"}\n]', None),
        ("a.jsonl", b'[{"image": "1.jpg"}]', "none of its first 1 lines is a JSON object .*read from .json"),
        ("a.jsonl", b"\xff\xfe{\0", "UTF-16"),
        ("a.json", b"{", "it is no JSON"),
        ("a.json", b"[1, 2]", "none of its first 2"),
        ("a.json.gz", b"no gzip", "cannot be read"),
    ],
)
def test_files_that_are_no_json_lines_are_named(tmp_path: Path, name: str, content: bytes, said: str | None) -> None:
    (tmp_path / name).write_bytes(content)
    if said is None:
        assert captions(tmp_path / name) == {"1.jpg": ["a"], f"{name}:1": "bad_row", f"{name}:3": "bad_row"}
        return
    with pytest.raises(UserError, match=f"captions.path: .*{name}.*{said}"):
        captions(tmp_path / name)


# Conceptual Captions


def test_conceptual_captions_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "Train_GCC-training.tsv").write_bytes(
        b'a very typical bus station\thttp://lh6.ggpht.com/-IvRtNLNcG8o/TpFyrudaT6I/AAAAAAAAM6o/_11MuAAKalQ/IMG_3422.JPG?imgmax=800\n'
        b'sierra looked "stunning" in this top and this skirt\thttp://78.media.tumblr.com/3b133294bdc7c7784b781e45f7/tumblr_500.jpg\n'
    )  # fmt: skip
    (tmp_path / "cc12m.tsv").write_bytes(
        b"https://chessprogramming.wikispaces.com/a.jpg\tMetal Design Within Reach Ivory\n"
    )
    three = captions(tmp_path / "Train_GCC-training.tsv", images=None, image_column="url", columns=["caption", "url"])
    assert list(three.values()) == [
        ['sierra looked "stunning" in this top and this skirt'],
        ["a very typical bus station"],
    ]
    twelve = captions(tmp_path / "cc12m.tsv", images=None, image_column="url", columns=["url", "caption"])
    assert twelve == {"https://chessprogramming.wikispaces.com/a.jpg": ["Metal Design Within Reach Ivory"]}
    assert "captions.columns" in message(tmp_path / "cc12m.tsv", images=None)


# Folders


def folder_of(folder: Path, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return str(folder)


def test_a_folder_of_images_with_texts_beside_them(tmp_path: Path) -> None:
    root = folder_of(
        tmp_path / "data",
        {
            "10_dog/1.jpg": b"i", "10_dog/1.txt": b"a dog\r\n\n a brown dog \n",
            "2.PNG": b"i", "2.txt": b'["a cat", "a tabby"]',
            "3.webp": b"i", "3.caption": "\ufeffcafé".encode(),
            "4.jpg": b"i",
            "5.txt": b"nobody's",
            "6.jpg": b"i", "6.txt": b" \n",
            "7.jpg": b"i", "7.txt": b"caf\xe9",
            "8.jpg": b"i", "8.png": b"i", "8.txt": b"twice",
            "9.heic": b"i", "9.txt": b"a phone's",
            ".hidden.jpg": b"i", "__MACOSX/._1.jpg": b"i", "notes.md": b"#",
        },
    )  # fmt: skip
    assert rows_of(CaptionsConfig("folder", root)) == [
        good("10_dog/1.jpg", f"{root}/10_dog/1.jpg", "a dog", "a brown dog"),
        good("2.PNG", f"{root}/2.PNG", "a cat", "a tabby"),
        good("3.webp", f"{root}/3.webp", "café"),
        bad("4.jpg", f"{root}/4.jpg", "no_text"),
        bad("5.txt", f"{root}/5.txt", "no_image"),
        bad("6.jpg", f"{root}/6.jpg", "no_text"),
        bad("7.jpg", f"{root}/7.jpg", "bad_text"),
        good("8.jpg", f"{root}/8.jpg", "twice"),
        bad("8.png", f"{root}/8.png", "listed_twice"),
        good("9.heic", f"{root}/9.heic", "a phone's"),
    ]


def test_a_folder_in_a_zip_archive(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train/1.jpg", b"image")
        archive.writestr("train/1.txt", "a dog")
    for path, name in ((tmp_path / "a.zip", "train/1.jpg"), (f"zip://train::{tmp_path}/a.zip", "1.jpg")):
        [row] = rows_of(CaptionsConfig("folder", str(path)))
        assert row == good(name, join(f"zip://::{tmp_path}/a.zip", "train/1.jpg"), "a dog")


def test_folders_without_pairs_say_what_they_hold(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {"1.jpg": b"i", "metadata.jsonl": b"{}"})
    with pytest.raises(UserError, match=r"holds 1 images and 0 texts \(it has 1.jpg, metadata.jsonl.*NAME.txt"):
        open_captions(CaptionsConfig("folder", root))
    for key, value in (("keep", ["licence"]), ("where", "a = 1"), ("images", root)):
        with pytest.raises(UserError, match=f"captions.{key}: is not used"):
            open_captions(CaptionsConfig("folder", root, **{key: value}))
