"""Model folders and archives of others that try to run code: real libraries, with files that do harm if they can."""

import builtins
import contextlib
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import open_clip
import pytest
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from pipeline.clip import load_clip
from pipeline.errors import UserError
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.weights.reading import read_tensors
from tests.clip.conftest import TINY
from tests.clip.openai_weights import as_torchscript, openai_weights

HARM = """
from pathlib import Path
Path({path!r}).touch()
from transformers import BertConfig, PreTrainedTokenizerFast, BaseImageProcessor, BertModel
class Evil{kind}({base}):
    model_type = "evil"
"""


@pytest.fixture(autouse=True)
def someone_who_says_yes(monkeypatch):
    """At the terminal."""
    monkeypatch.setattr(builtins, "input", lambda *_: "y")


@pytest.fixture
def ran(tmp_path) -> Path:
    """Where the module of the model makes a file when it runs."""
    return tmp_path / "ran"


def write_module(folder: Path, ran: Path, kind: str, base: str) -> dict:
    """A module that makes a file when it is imported; returns the `auto_map` that names it."""
    (folder / "evil.py").write_text(HARM.format(path=str(ran), kind=kind, base=base))
    return {f"Auto{kind}": f"evil.Evil{kind}"}


def write_clip(folder: Path, model_cfg: dict) -> str:
    """A `local-dir:` with a configuration of its own and weights of the tests' small CLIP."""
    folder.mkdir()
    torch.manual_seed(0)
    save_file(open_clip.CLIP(**TINY).state_dict(), folder / "open_clip_model.safetensors")
    config = {"model_cfg": model_cfg, "preprocess_cfg": {"size": 32}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return f"local-dir:{folder}"


def with_text(**changes) -> dict:
    return TINY | {"text_cfg": TINY["text_cfg"] | changes}


def write_tokenizer(folder: Path, ran: Path, tokenizer_class: str | None) -> None:
    auto_map = write_module(folder, ran, "Tokenizer", "PreTrainedTokenizerFast")
    Tokenizer(WordLevel({"dog": 0, "[UNK]": 1, "[PAD]": 2}, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))
    config = {"auto_map": {"AutoTokenizer": [None, auto_map["AutoTokenizer"]]}, "pad_token": "[PAD]"}
    if tokenizer_class:
        config["tokenizer_class"] = tokenizer_class
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("options", [{"trust_remote_code": True}, {}, {"clean": "whitespace"}])
@pytest.mark.parametrize("tokenizer_class", ["EvilTokenizer", "PreTrainedTokenizerFast", None])
def test_a_tokenizer_of_its_own_is_not_run(tmp_path, ran, options, tokenizer_class):
    name = write_clip(tmp_path / "clip", with_text(hf_tokenizer_name="evil/tokenizer", tokenizer_kwargs=options))
    write_tokenizer(tmp_path / "clip", ran, tokenizer_class)
    if options.get("trust_remote_code"):
        expected = pytest.raises(UserError, match=r"tokenizer_kwargs\.trust_remote_code is not allowed")
    elif tokenizer_class == "PreTrainedTokenizerFast":  # of transformers itself, which does
        expected = contextlib.nullcontext()
    else:
        expected = pytest.raises(UserError, match=r"clip\.architecture .* needs Python of its own, which is never run")
    with expected:
        load_clip(name)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"tokenizer_kwargs": {"trust_remote_code": True}}, r"text_cfg\.tokenizer_kwargs\.trust_remote_code"),
        ({"tokenizer_kwargs": {"reduction_mask": "syntax"}}, r"text_cfg\.tokenizer_kwargs\.reduction_mask"),
        ({"tokenizer_kwargs": {"cache_dir": "/tmp/x"}}, r"text_cfg\.tokenizer_kwargs\.cache_dir"),
        ({"tokenizer_kwargs": ["trust_remote_code"]}, r"text_cfg\.tokenizer_kwargs is not"),
        ({"hf_model_name": "https://host/model"}, r"text_cfg\.hf_model_name is 'https"),
        ({"hf_tokenizer_name": "../../elsewhere"}, r"text_cfg\.hf_tokenizer_name is"),
        ({"hf_model_name": {"a": 1}}, r"text_cfg\.hf_model_name is"),
    ],
)
def test_settings_of_a_model_that_could_run_code_or_lead_elsewhere(tmp_path, changes, key):
    name = write_clip(tmp_path / "clip", with_text(**changes))
    with pytest.raises(UserError, match=rf"clip\.architecture: .*clip/open_clip_config\.json: model_cfg\.{key}"):
        load_clip(name)


@pytest.mark.parametrize("timm", ["hf-hub:evil/model", "local-dir:/tmp/model", "evil/model"])
def test_a_tower_of_timm_from_elsewhere(tmp_path, timm):
    name = write_clip(tmp_path / "clip", TINY | {"vision_cfg": {"timm_model_name": timm, "image_size": 32}})
    with pytest.raises(UserError, match=r"model_cfg\.vision_cfg\.timm_model_name"):
        load_clip(name)


@pytest.mark.parametrize("content", ["[]", '{"model_cfg": [1]}', "{", "[" * 100_000, '{"model_cfg": {"text_cfg": 3}}'])
def test_a_configuration_that_is_none(tmp_path, content):
    name = write_clip(tmp_path / "clip", TINY)
    (tmp_path / "clip" / "open_clip_config.json").write_text(content)
    with pytest.raises(UserError, match=r"clip\.architecture"):
        load_clip(name)


def test_a_text_tower_of_its_own_is_not_run(tmp_path, ran):
    tower = tmp_path / "tower"
    tower.mkdir()
    auto_map = write_module(tower, ran, "Config", "BertConfig") | {"AutoModel": "evil.EvilConfig"}
    (tower / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": auto_map}))
    name = write_clip(tmp_path / "clip", with_text(hf_model_name=str(tower)))
    with pytest.raises(UserError, match=r"clip\.architecture"):
        load_clip(name)
    assert not ran.exists()


def test_what_open_clip_asks_for_by_itself_is_refused_too(tmp_path, ran):
    """Even if a configuration came through with it, as one that changes between two looks might."""
    folder = tmp_path / "model"
    folder.mkdir()
    write_tokenizer(folder, ran, "EvilTokenizer")
    load_clip("ViT-S-32-alt", "random")
    with pytest.raises(ValueError, match="never run"):
        transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    assert not ran.exists()


@pytest.mark.parametrize("kind", [None, "Sam2ImageProcessor"])
def test_an_image_processor_of_its_own_is_not_run(tmp_path, ran, kind):
    folder = tmp_path / "sam2"
    folder.mkdir()
    auto_map = write_module(folder, ran, "ImageProcessor", "BaseImageProcessor")
    (folder / "config.json").write_text(
        json.dumps({"model_type": "sam2", "auto_map": {"AutoConfig": "evil.EvilConfig"}})
    )
    (folder / "preprocessor_config.json").write_text(json.dumps({"auto_map": auto_map, "image_processor_type": kind}))
    config = ProposalsConfig(backend="sam2", options={"weights": str(folder)})
    with pytest.raises(UserError, match=r"proposals\.options\.weights"):
        load_proposer(config)
    assert not ran.exists()


@pytest.mark.parametrize("where", [{"backbone": "evil/backbone"}, {"encoder": [{"backbone": "hf-hub:evil/backbone"}]}])
def test_a_backbone_from_elsewhere(tmp_path, where):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "sam2", **where}))
    config = ProposalsConfig(backend="sam2", options={"weights": str(tmp_path)})
    with pytest.raises(UserError, match=r"proposals\.options\.weights: .* names the backbone '.*evil/backbone'"):
        load_proposer(config)


@pytest.mark.parametrize("value", ["evil/attention", {"vision_config": "evil/attention@main:evil"}])
@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "_experts_implementation"])
def test_machine_code_for_attention_from_elsewhere(tmp_path, key, value):
    """`transformers` loads it from the hub where its package `kernels` is installed."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "sam2", "vision_config": {key: value}}))
    config = ProposalsConfig(backend="sam2", options={"weights": str(tmp_path)})
    with pytest.raises(UserError, match=r"proposals\.options\.weights: .* names the implementation 'evil/attention"):
        load_proposer(config)


def test_the_environment_cannot_make_torch_trust_checkpoints(tmp_path, ran, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save({"weights": Calls(os.mkdir, str(ran))}, tmp_path / "evil.pt")
    load_clip("ViT-S-32-alt", "random")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "evil.pt")
    assert not ran.exists()


# ---------------------------------------------------------------------------------- TorchScript


class Nested(torch.nn.Module):
    """All that a state dict has, and tensors that it has not."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        self.heads = torch.nn.ModuleList([torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 3).half()])
        self.tied = self.heads[0]
        self.register_buffer("counts", torch.arange(3))
        self.register_buffer("causal", torch.ones(2, 2).triu().bool(), persistent=False)
        self.mask = torch.ones(3)
        self.names = ["a", "b"]

    def forward(self, pixels):
        return self.body(pixels).sum() + self.tied(torch.ones(2)).sum() + self.mask.sum()


@pytest.mark.parametrize("make", [torch.jit.script, lambda module: torch.jit.trace(module, torch.rand(1, 3, 8, 8))])
def test_torchscript_gives_what_torch_gives(tmp_path, make):
    make(Nested().eval()).save(tmp_path / "module.pt")
    same_as_torch(tmp_path / "module.pt")


def test_openais_archives_give_what_torch_gives(tmp_path):
    as_torchscript(openai_weights(), tmp_path / "clip.pt")
    same_as_torch(tmp_path / "clip.pt")


def same_as_torch(path: Path) -> None:
    expected = torch.jit.load(path).state_dict()
    found = read_tensors(path)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].equal(tensor), name


class Harmful(torch.nn.Module):
    """Writes a file when it is restored: TorchScript runs `__setstate__` on loading."""

    def __init__(self, path: str):
        super().__init__()
        self.path = path
        self.weight = torch.nn.Parameter(torch.ones(2))

    def forward(self) -> torch.Tensor:
        return self.weight

    @torch.jit.export
    def __getstate__(self) -> tuple[str, torch.Tensor, bool]:
        return (self.path, self.weight, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, torch.Tensor, bool]):
        self.path = state[0]
        self.weight = state[1]
        self.training = state[2]
        torch.save(state[1], state[0])


def test_the_program_of_an_archive_is_not_run(tmp_path, ran):
    module = torch.jit.script(Harmful(str(ran)))
    module.save(tmp_path / "evil.pt")
    torch.jit.load(tmp_path / "evil.pt")
    assert ran.exists(), "torch runs it: the archive is one that does harm"
    ran.unlink()
    with pytest.raises(UserError, match=r"evil\.pt"):
        read_tensors(tmp_path / "evil.pt")
    with pytest.raises(UserError, match=r"evil\.pt"):
        load_clip(None, str(tmp_path / "evil.pt"))
    name = write_clip(tmp_path / "clip", TINY)
    (tmp_path / "clip" / "open_clip_model.safetensors").unlink()
    shutil.copy(tmp_path / "evil.pt", tmp_path / "clip" / "open_clip_pytorch_model.bin")
    with pytest.raises(UserError, match=r"clip\.architecture"):
        load_clip(name)
    assert not ran.exists()


class Calls:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("function", [os.mkdir, Path, getattr, builtins.eval, torch.load])
def test_pickles_inside_archives_call_nothing(tmp_path, ran, function):
    as_torchscript(openai_weights(), tmp_path / "clip.pt")
    evil = {"data.pkl": pickle.dumps(Calls(function, str(ran)), protocol=2)}
    with pytest.raises(UserError, match="it would call"):
        read_tensors(rewritten(tmp_path / "clip.pt", evil))
    assert not ran.exists()


def rewritten(path: Path, members: dict[str, bytes | None], compression: int = zipfile.ZIP_STORED) -> Path:
    """A copy of an archive with other content in some members, by the ends of their names; None leaves them out."""
    copy = path.with_name("rewritten.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w", compression) as new:
        for name in old.namelist():
            data = next((data for end, data in members.items() if name.endswith(end)), old.read(name))
            if data is not None:
                new.writestr(name, data)
    return copy


@pytest.mark.parametrize(
    "members",
    [
        {"/data.pkl": b""},
        {"/data.pkl": b"no pickle"},
        {"/data.pkl": None},
        {"/data.pkl": pickle.dumps([1, 2])},
        {"/data.pkl": pickle.dumps({"a": torch.ones(1).numpy()})},
        {"/data/3": b""},
        {"/data/3": None},
    ],
)
def test_damaged_archives(tmp_path, members):
    as_torchscript(openai_weights(), tmp_path / "clip.pt")
    with pytest.raises(UserError, match=r"rewritten\.pt cannot be loaded"):
        read_tensors(rewritten(tmp_path / "clip.pt", members))


def test_an_archive_whose_modules_contain_one_another(tmp_path):
    torch.jit.script(torch.nn.Sequential(torch.nn.Linear(2, 2))).save(tmp_path / "module.pt")
    circle = b"\x80\x02c__torch__.m\nM\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb."
    with pytest.raises(UserError, match="contain one another"):
        read_tensors(rewritten(tmp_path / "module.pt", {"/data.pkl": circle}))


def test_archives_that_unpack_to_far_more_than_they_are(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", pickle.dumps({}))
        archive.writestr("bomb/data/0", bytes(70 * 2**20))
    with pytest.raises(UserError, match=r"bomb\.pt cannot be loaded.* bytes that unpack to 734"):
        read_tensors(tmp_path / "bomb.pt")


def test_tensors_that_repeat_a_few_numbers(tmp_path):
    torch.save({"weight": torch.zeros(1).expand(2**20, 2**20)}, tmp_path / "wide.pt")
    with pytest.raises(UserError, match=r"wide\.pt has \d+ bytes, but tensors of 4398046511104"):
        read_tensors(tmp_path / "wide.pt")
