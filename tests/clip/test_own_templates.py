"""Prompt templates of one's own: lists and files, what is none, and that the content alone counts."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.bank.description import BankClip, BankDescription, BankRegions, read_description
from pipeline.captions.config import CaptionsConfig
from pipeline.clip import TextEmbedder
from pipeline.clip.config import ClipConfig
from pipeline.clip.template_choice import described_templates, read_templates
from pipeline.clip.templates import check_fit
from pipeline.configuration import fingerprint
from pipeline.configuration.paths import with_absolute_paths
from pipeline.errors import UserError
from pipeline.mining.config import MineConfig, VerifierConfig
from pipeline.segmentation.job_config import ModelsConfig
from pipeline.training.config import ModelConfig

OWN = ["a satellite photo of {}", "{} seen from above."]


@pytest.fixture
def file(tmp_path) -> str:
    path = tmp_path / "templates.txt"
    path.write_text("\ufeffa satellite photo of {}  \n\n{} seen from above.\r\n")
    return str(path)


def test_a_file_is_its_lines(file):
    assert read_templates(file, "clip.templates") == OWN
    assert read_templates(OWN, "clip.templates") == OWN
    assert read_templates("vild", "clip.templates") == "vild"


def test_every_configuration_reads_the_file_and_keeps_the_content(file, tmp_path):
    for config in (ClipConfig(templates=file), ModelConfig(templates=file)):
        assert with_absolute_paths(config).templates == OWN
    models = ModelsConfig(clip=ClipConfig(templates=file))
    with pytest.raises(UserError, match=r"clip\.templates: class names are embedded with segmentation.templates"):
        models.resolved()
    segmentation = replace(models.segmentation, templates=OWN)
    assert replace(models, segmentation=segmentation).resolved().clip.templates == OWN

    mine = MineConfig(CaptionsConfig(format="coco", path="x"), "y", verify=[VerifierConfig(templates=file, name="b")])
    mine = with_absolute_paths(replace(mine, clip=ClipConfig(templates=file)))
    assert (mine.clip.templates, mine.verify[0].templates) == (OWN, OWN)

    def print_of(templates) -> str:
        config = with_absolute_paths(ClipConfig(templates=templates))
        return fingerprint.describe("mine", ClipConfig, asdict(config))["fingerprint"]

    other = tmp_path / "other.txt"
    other.write_text("\n".join(OWN))
    assert print_of(file) == print_of(str(other)) == print_of(OWN)
    assert len({print_of(templates) for templates in (OWN, OWN[:1], OWN[::-1], "vild")}) == 4


BAD = {
    "a photo of a cat": r"has \{\} 0 times instead of once",
    "{} and {}": r"has \{\} 2 times",
    "a {0} of {}": "has other braces",
    "a {{}} of": "has other braces",
    "a {!r} of {}": "has other braces",
    "": r"has \{\} 0 times",
    "a \x1b[2J of {}": "cannot be seen",
    "a {}" + "x" * 1000: "over 1000 characters",
}


@pytest.mark.parametrize("template", BAD)
def test_what_is_no_template_is_refused(template):
    with pytest.raises(UserError, match=rf"(?s)^model\.templates\[1\] is .*{BAD[template]}"):
        read_templates(["a {}", template], "model.templates")


def test_lists_and_files_that_are_none(tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes(b"a caf\xe9 {}")
    for templates, said in (
        ([], "0 templates; give one to 1000"),
        (["a {}"] * 2, r"\[1\] is 'a \{\}' again"),
        ([5], r"\[0\] is 5, which is no text"),
        (5, "5; give one"),
        ("vlid", "no set of templates .none, photo, vild, imagenet., and there is no such file"),
        (str(tmp_path), "no such file"),
        (str(tmp_path / "empty.txt"), "holds no template"),
        (str(tmp_path / "latin.txt"), "not text in UTF-8"),
    ):
        with pytest.raises(UserError, match=rf"^clip\.templates.*{said}"):
            read_templates(templates, "clip.templates")


def test_embeddings_are_those_of_open_clip(tiny):
    found = TextEmbedder(tiny, OWN)(["cat", "red bus"])
    for noun, embedding_D in zip(["cat", "red bus"], found, strict=True):
        with torch.inference_mode():
            each_TD = tiny.model.encode_text(tiny.tokenizer([text.format(noun) for text in OWN]), normalize=True)
        np.testing.assert_allclose(embedding_D, F.normalize(each_TD.mean(dim=0), dim=0), atol=1e-5)
    # No file is read where texts are embedded: the name of one may come from a dataset of others.
    with pytest.raises(UserError, match=r"no set of templates '/etc/hostname', but none, photo, vild, imagenet"):
        TextEmbedder(tiny, "/etc/hostname")


def test_a_template_that_leaves_no_room_for_a_noun(tiny):
    def of(words: int) -> list[str]:
        return ["short {}", "cat " * (words - 1) + "{}"]

    # 77 tokens: the first, the last, and 74 or 75 words.
    check_fit(tiny.tokenizer, of(74), "clip.templates")
    for words in (75, 76, 200):
        with pytest.raises(UserError, match=r"clip\.templates\[1\]: 'cat cat.* is too long: .* the 77 tokens"):
            check_fit(tiny.tokenizer, of(words), "clip.templates")
    with pytest.raises(UserError, match="too long"):
        TextEmbedder(tiny, of(90))


def test_cards_name_them():
    assert described_templates("vild") == "vild"
    assert described_templates(OWN) == '"a satellite photo of {}", "{} seen from above."'
    assert described_templates([f"{{}} {number}" for number in range(5)]).endswith('"{} 2" and 2 more')


@pytest.mark.parametrize("templates", [OWN, "vild", ["no noun"], ["{}", 5], "mine"])
def test_a_bank_says_which(templates, tmp_path):
    clip = BankClip("ViT-B-16", "openai", "0" * 64, "1" * 64, 224, [0.5] * 3, [0.5] * 3)
    description = BankDescription(clip, 4, templates, BankRegions("mean", 1.0), [])
    (tmp_path / "bank.json").write_bytes(description.to_json())
    if templates in (OWN, "vild"):
        assert read_description(str(tmp_path), "--to").templates == templates
    else:
        with pytest.raises(UserError, match=r"is damaged: .*templates"):
            read_description(str(tmp_path), "--to")
