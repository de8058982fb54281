"""Templates and text embeddings, against open_clip itself."""

import open_clip
import pytest
import torch
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

from pipeline.clip import TextEmbedder
from pipeline.clip.templates import TEMPLATES


def test_template_sets_have_the_published_sizes():
    assert {name: len(templates) for name, templates in TEMPLATES.items()} == {
        "none": 1, "photo": 1, "vild": 14, "imagenet": 80,
    }  # fmt: skip
    assert sum(not template.endswith(".") for template in TEMPLATES["vild"]) == 4
    assert TEMPLATES["imagenet"][0].format("cat") == OPENAI_IMAGENET_TEMPLATES[0]("cat")
    assert len(set(TEMPLATES["vild"])) == 14
    assert all(template.count("{}") == 1 for set_ in TEMPLATES.values() for template in set_)


@pytest.mark.parametrize("templates", ["photo", "vild"])
def test_text_embeddings_follow_the_formula(tiny, templates):
    nouns = ["fire hydrant", "dog", "fire hydrant"]
    embedded = TextEmbedder(tiny, templates)(nouns)
    for noun, row in zip(nouns, embedded, strict=True):
        tokens = open_clip.tokenize([template.format(noun) for template in TEMPLATES[templates]])
        features = tiny.model.encode_text(tokens)
        features = features / features.norm(dim=1, keepdim=True)
        mean = features.mean(dim=0)
        torch.testing.assert_close(row, mean / mean.norm(), atol=1e-6, rtol=0)
    assert TextEmbedder(tiny, templates)([]).shape == (0, 32)
