"""Templates and text embeddings, against open_clip itself."""

import stat
from dataclasses import replace

import numpy as np
import open_clip
import pyarrow.parquet as pq
import pytest
import torch
from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

from pipeline.clip import ClipConfig, EmbeddingCache, TextEmbedder, load_clip
from pipeline.clip.templates import TEMPLATES
from pipeline.clip.text_tower import encode_text, used_lengths
from pipeline.dataset.vocabulary import vocabulary_table
from pipeline.mining.stages import EmbedTextStage
from tests.clip.conftest import TINY

END = 49407  # the id of CLIP's end token


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


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"quick_gelu": True},
        {"custom_text": True},
        {"custom_text": True, "text_cfg": {"pool_type": "eos", "eos_id": END, "proj_bias": True}},
        {"text_cfg": {"qk_norm": True, "ls_init_value": 0.1}},
    ],
    ids=["plain", "quick_gelu", "custom_text", "eos", "other_blocks"],
)
def test_what_follows_the_end_token_is_not_needed(change):
    model = text_model(change)
    texts = ["dog", "a photo of a dog in the scene", "a " * 100, ""]
    tokens = open_clip.tokenize(texts)
    lengths = used_lengths(model, tokens)
    assert lengths == [3, 10, 77, 2]
    with torch.inference_mode():
        expected = model.encode_text(tokens)
        for number, length in enumerate(lengths):
            row = tokens[number : number + 1]
            torch.testing.assert_close(encode_text(model, row[:, :length]), expected[number : number + 1])
            longer = min(length + 3, 77)
            torch.testing.assert_close(encode_text(model, row[:, :longer]), expected[number : number + 1])


@pytest.mark.parametrize(
    "text_cfg",
    [
        {"no_causal_mask": True, "pool_type": "last"},  # SigLIP
        {"no_causal_mask": True, "pool_type": "argmax"},
        {"pool_type": "last"},
        {"pool_type": "first"},
        {"embed_cls": True},  # CoCa's text tower
    ],
    ids=["siglip", "not_causal", "last", "first", "class_token"],
)
def test_towers_that_see_the_padding_get_it(text_cfg):
    model = text_model({"custom_text": True, "text_cfg": text_cfg})
    tokens = open_clip.tokenize(["dog", "a photo of a fire hydrant"])
    assert used_lengths(model, tokens) == [77, 77]
    with torch.inference_mode():
        torch.testing.assert_close(encode_text(model, tokens), model.encode_text(tokens), atol=0, rtol=0)


def test_other_models_are_left_to_open_clip():
    class Other(open_clip.CLIP):
        def encode_text(self, text, normalize=False):
            return text.float()

    torch.manual_seed(0)
    model = Other(**TINY).eval()
    tokens = open_clip.tokenize(["dog"])
    assert used_lengths(model, tokens) == [77]
    assert encode_text(model, tokens).shape == (1, 77)


def text_model(change):
    """An open_clip model as small as `TINY`, with parts of its configuration changed."""
    torch.manual_seed(1)
    change = dict(change)
    custom = change.pop("custom_text", False)
    text_cfg = TINY["text_cfg"] | change.pop("text_cfg", {})
    model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**TINY | change | {"text_cfg": text_cfg})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def test_an_embedding_does_not_depend_on_the_other_nouns(tiny):
    nouns = ["dog", "fire hydrant", "double decker bus", "cat", "man", "a very long name of a thing " * 20]
    together = TextEmbedder(tiny, "vild")(nouns)
    backwards = TextEmbedder(tiny, "vild")(nouns[::-1])
    assert torch.equal(together, backwards.flip(0))
    for noun, row in zip(nouns, together, strict=True):
        assert torch.equal(TextEmbedder(tiny, "vild")([noun])[0], row)


@pytest.fixture
def cache_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ovseg" / "text-embeddings"


def kept(cache_home):
    return sorted(path for path in cache_home.rglob("*") if path.is_file())


def test_embeddings_of_an_earlier_job_are_used(tiny, cache_home, monkeypatch):
    nouns = ["dog", "fire hydrant", "cat"]
    fresh = TextEmbedder(tiny, "vild")(nouns)
    assert torch.equal(TextEmbedder(tiny, "vild", EmbeddingCache.of(tiny))(nouns[:2]), fresh[:2])
    assert len(kept(cache_home)) == 2
    assert torch.equal(TextEmbedder(tiny, "vild", EmbeddingCache.of(tiny))(nouns), fresh)
    assert len(kept(cache_home)) == 3
    for path in (cache_home, cache_home.parent, *cache_home.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700

    def fail(*arguments):
        raise AssertionError("a known noun was encoded")

    monkeypatch.setattr("pipeline.clip.text.encode_text", fail)
    assert torch.equal(TextEmbedder(tiny, "vild", EmbeddingCache.of(tiny))(nouns), fresh)
    with pytest.raises(AssertionError, match="known noun"):
        TextEmbedder(tiny, "photo", EmbeddingCache.of(tiny))(["dog"])


def test_other_text_weights_and_threads_have_embeddings_of_their_own(tiny, tiny_folder, cache_home):
    TextEmbedder(tiny, "photo", EmbeddingCache.of(tiny))(["dog"])
    other = load_clip(f"local-dir:{tiny_folder}")
    EmbeddingCache.of(other)
    assert len(list(cache_home.iterdir())) == 1
    other.model.visual.proj.add_(1)  # as adapting to masks does
    EmbeddingCache.of(other)
    assert len(list(cache_home.iterdir())) == 1
    other.model.ln_final.bias.add_(1)
    changed = TextEmbedder(other, "photo", EmbeddingCache.of(other))(["dog"])
    assert len(list(cache_home.iterdir())) == 2
    assert torch.equal(changed, TextEmbedder(other, "photo")(["dog"]))
    EmbeddingCache.of(replace(other, autocast_dtype=torch.bfloat16))
    assert len(list(cache_home.iterdir())) == 3


@pytest.mark.parametrize("damage", [b"", b"short", None, "flip"])
def test_damaged_embeddings_are_computed_again(tiny, cache_home, damage):
    fresh = TextEmbedder(tiny, "photo", EmbeddingCache.of(tiny))(["dog"])
    [file] = kept(cache_home)
    whole = file.read_bytes()
    if damage is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if damage == "flip" else damage)
    assert torch.equal(TextEmbedder(tiny, "photo", EmbeddingCache.of(tiny))(["dog"]), fresh)
    if damage is not None:
        assert file.read_bytes() == whole
    assert len(list(file.parent.iterdir())) == 1


def test_folders_that_others_may_write_to_are_not_used(tiny, cache_home, tmp_path, caplog):
    cache_home.mkdir(parents=True)
    cache_home.chmod(0o777)
    assert EmbeddingCache.of(tiny) is None
    assert "not kept" in caplog.text
    cache_home.rmdir()
    (tmp_path / "elsewhere").mkdir()
    cache_home.symlink_to(tmp_path / "elsewhere")
    assert EmbeddingCache.of(tiny) is None
    cache_home.unlink()
    cache_home.write_bytes(b"")
    assert EmbeddingCache.of(tiny) is None


def test_the_vocabulary_has_the_same_bytes_with_and_without_a_cache(tiny_folder, tmp_path, monkeypatch):
    nouns = ["dog", "fire hydrant", "double decker bus", "cat", "man"]
    config = ClipConfig(f"local-dir:{tiny_folder}", None)

    def vocabulary(home, per_chunk):
        monkeypatch.setenv("XDG_CACHE_HOME", str(home))
        stage = EmbedTextStage(config, 0)
        chunks = [nouns[start : start + per_chunk] for start in range(0, len(nouns), per_chunk)]
        rows = [stage({"chunk": number, "nouns": chunk}) for number, chunk in enumerate(chunks)]
        embeddings_ND = np.concatenate([row["embeddings"] for row in rows]).reshape(len(nouns), -1)
        path = tmp_path / "vocabulary.parquet"
        pq.write_table(vocabulary_table(nouns, [1] * len(nouns), embeddings_ND), path)
        return path.read_bytes()

    (tmp_path / "file").touch()
    without = vocabulary(tmp_path / "file", 5)
    assert vocabulary(tmp_path / "new", 2) == without
    assert vocabulary(tmp_path / "new", 5) == without
    assert len(kept(tmp_path / "new")) == len(nouns)
