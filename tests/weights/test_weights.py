"""Files of weights: fetched once, told apart by their digests, read without running code."""

import argparse
import collections
import contextlib
import hashlib
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import UserError
from pipeline.weights.fetching import fetch, fetch_model, sha256
from pipeline.weights.reading import read_tensors
from tests.s3 import s3_environment
from tests.servers.faulty_proxy import faulty_proxy

WEIGHTS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.tensor([1.5, -2.0])}


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == WEIGHTS.keys() and all(found[name].equal(WEIGHTS[name]) for name in WEIGHTS)


def arrays() -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in WEIGHTS.items()}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


# ------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: {"model": weights, "iteration": 120_000, "optimizer": {"lr": 0.1}},
        lambda weights: {"state_dict": weights, "epoch": 3},
        lambda weights: {"state_dict": {f"module.{name}": tensor for name, tensor in weights.items()}},
        collections.OrderedDict,
        lambda weights: {"state_dict": weights, "best": np.float64(0.7), "epoch": np.int64(3), "seen": np.arange(4)},
        lambda weights: {"state_dict": weights, "args": argparse.Namespace(lr=1e-3, logs=Path("/logs")), "scaler": {}},
        lambda weights: {"state_dict": weights, "state_dict_ema": weights, "teacher": {"a": torch.ones(1)}},
        lambda weights: {"state_dict": {f"_orig_mod.{name}": tensor for name, tensor in weights.items()}},
        lambda weights: {"state_dict": {f"module._orig_mod.{name}": tensor for name, tensor in weights.items()}},
        lambda weights: {"state_dict": {f"_orig_mod.module.{name}": tensor for name, tensor in weights.items()}},
        lambda weights: {
            name.replace("layer.", "layer._fsdp_wrapped_module._checkpoint_wrapped_module._orig_mod."): tensor
            for name, tensor in weights.items()
        },
    ],
)
@pytest.mark.parametrize("new_format", [True, False])
def test_what_training_wraps_around_weights_is_taken_off(tmp_path, wrap, new_format):
    torch.save(wrap(WEIGHTS), tmp_path / "weights.pth", _use_new_zipfile_serialization=new_format)
    assert same(read_tensors(tmp_path / "weights.pth"))


def test_safetensors_and_torchscript(tmp_path):
    save_file(WEIGHTS, tmp_path / "weights.safetensors")
    assert same(read_tensors(tmp_path / "weights.safetensors"))
    module = torch.nn.Module()
    module.layer = torch.nn.Linear(3, 2)
    module.layer.load_state_dict({name.removeprefix("layer."): tensor for name, tensor in WEIGHTS.items()})
    module.forward = None
    torch.jit.script(module.layer).save(tmp_path / "layer.pt")
    assert read_tensors(tmp_path / "layer.pt")["weight"].equal(WEIGHTS["layer.weight"])


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("wrapping", ["model", "blobs"])
def test_pickles_of_detectron2_hold_arrays(tmp_path, protocol, wrapping):
    """Its model zoo was written by Python 2 and 3, with several versions of NumPy; some of it by Caffe2."""
    weights = arrays() | ({"layer.weight_momentum": np.zeros(3)} if wrapping == "blobs" else {})
    content = {wrapping: weights, "__author__": "Caffe2", "matching_heuristics": True}
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(content, protocol))
    assert same(read_tensors(tmp_path / "model.pkl"))


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "wrap", [lambda evil: evil, lambda evil: {"model": {"a": evil}}, lambda evil: {"model": arrays(), "extra": [evil]}]
)
def test_pickles_that_could_run_code_are_refused(tmp_path, wrap):
    content = wrap(Evil(tmp_path / "made"))
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(content))
    torch.save(content, tmp_path / "model.pth")
    for name in ("model.pkl", "model.pth"):
        with pytest.raises(UserError, match=f"{name} cannot be loaded: it is damaged, or holds more"):
            read_tensors(tmp_path / name)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("new_format", [True, False])
def test_a_refusal_is_one_line_that_names_the_object(tmp_path, new_format):
    content = {"state_dict": WEIGHTS, "extra": collections.UserDict()}
    torch.save(content, tmp_path / "weights.pt", _use_new_zipfile_serialization=new_format)
    with pytest.raises(UserError) as raised:
        read_tensors(tmp_path / "weights.pt")
    message = str(raised.value)
    assert "it would call collections.UserDict" in message
    assert "\n" not in message
    assert "\x1b" not in message
    assert "weights_only" not in message


def test_a_weight_that_is_there_twice(tmp_path):
    torch.save(WEIGHTS | {"module.layer.bias": torch.zeros(2)}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match=r"holds layer\.bias twice"):
        read_tensors(tmp_path / "weights.pt")


class Call:
    """A call and a state that a pickle holds as they are given."""

    def __init__(self, function: Callable, arguments: tuple, *state: tuple):
        self.reduced = (function, arguments, *state)

    def __reduce__(self):
        return self.reduced


def odd_type(code: str, flags: int, names: tuple | None = None, fields: dict | None = None) -> Call:
    """A type of numbers that says other things of itself than are so."""
    return Call(np.dtype, (code, False, True), (3, "|", None, names, fields, -1, -1, flags))


_multiarray = np._core.multiarray
_ADDRESSES = b"\x41" * 64
_CLAIMS = {
    "objects are numbers": odd_type("O8", 0),
    "numbers are objects": odd_type("f8", 63),
    "numbers need to be freed": odd_type("f8", 4),
    "texts of unknown length": odd_type("S8", 1),
    "structures of objects": odd_type("V8", 0, ("a",), {"a": (np.dtype("O"), 0)}),
}
_CONTENTS = {
    "scalar": lambda kind: Call(_multiarray.scalar, (kind, _ADDRESSES[:8])),
    "array": lambda kind: Call(_multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, (8,), kind, False, _ADDRESSES)),
    "list": lambda kind: Call(_multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, (1,), kind, False, [1.5])),
    "class": lambda kind: Call(np.ndarray, ((8,), kind, _ADDRESSES)),
    "buffer": lambda kind: Call(np._core.numeric._frombuffer, (_ADDRESSES, kind, (8,), "C")),
}


@pytest.mark.parametrize("claim", _CLAIMS.values(), ids=list(_CLAIMS))
@pytest.mark.parametrize("content", _CONTENTS.values(), ids=list(_CONTENTS))
def test_no_bytes_of_a_pickle_are_taken_for_addresses_in_memory(tmp_path, content, claim):
    """If they are, this process ends here."""
    held = {"model": arrays(), "extra": [content(claim)]}
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(held, 4))
    torch.save(held, tmp_path / "model.pth")
    for name in ("model.pkl", "model.pth"):
        with contextlib.suppress(UserError):
            assert same(read_tensors(tmp_path / name))


@pytest.mark.parametrize("data", [b"", b"garbage", b"PK\x03\x04 not a zip", pickle.dumps({"a": np.zeros(9)})[:-20]])
@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".safetensors"])
def test_damaged_files(tmp_path, data, suffix):
    (tmp_path / f"model{suffix}").write_bytes(data)
    with pytest.raises(UserError, match=f"model{suffix} cannot be loaded"):
        read_tensors(tmp_path / f"model{suffix}")


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, {"model": {}}, {"model": {"a": "text"}}])
def test_files_without_weights(tmp_path, content):
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(UserError, match="holds no state dict"):
        read_tensors(tmp_path / "model.pth")


@pytest.mark.parametrize(
    "array", [np.array(["text"]), np.array([None, {}], dtype=object), np.zeros(2, "datetime64[s]")]
)
def test_arrays_that_are_no_tensors(tmp_path, array):
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"model": arrays() | {"names": array}}))
    with pytest.raises(UserError, match=r"model\.pkl"):
        read_tensors(tmp_path / "model.pkl")


def written(kind: str, folder: Path) -> Path:
    path = folder / f"model{kind}"
    match kind:
        case ".pkl":
            path.write_bytes(pickle.dumps({"model": arrays()}, 2))
        case ".safetensors":
            save_file(WEIGHTS, path)
        case ".pth" | ".old":
            torch.save({"state_dict": WEIGHTS}, path, _use_new_zipfile_serialization=kind == ".pth")
        case ".pt":
            torch.jit.script(torch.nn.Linear(3, 2)).save(path)
    return path


@pytest.mark.parametrize("kind", [".pkl", ".safetensors", ".pth", ".old", ".pt"])
def test_files_that_were_changed_give_weights_or_a_message(tmp_path, kind):
    """Never another exception, whatever bytes are others."""
    path, generator = written(kind, tmp_path), np.random.default_rng(0)
    whole = path.read_bytes()
    for trial in range(150):
        data = bytearray(whole)
        if trial % 3 == 0:
            del data[generator.integers(len(data)) :]
        else:
            for offset in generator.integers(len(data), size=1 + trial % 4):
                data[offset] = generator.integers(256)
        path.write_bytes(data)
        with contextlib.suppress(UserError):
            assert all(isinstance(tensor, torch.Tensor) for tensor in read_tensors(path).values())


# ------------------------------------------------------------------------------------ fetching


def test_a_local_file_is_used_where_it_lies(tmp_path, cache):
    (tmp_path / "weights.pth").write_bytes(b"weights")
    assert fetch(str(tmp_path / "weights.pth"), "key") == tmp_path / "weights.pth"
    assert not cache.exists()
    with pytest.raises(UserError, match=r"^clip\.weights: there is no file .*nothing\.pth"):
        fetch(str(tmp_path / "nothing.pth"), "clip.weights")


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_a_remote_file_is_fetched_once_for_all_processes_of_a_node(s3, s3_uri, tmp_path):
    bucket, data = s3_uri.removeprefix("s3://"), np.random.default_rng(0).bytes(3_000_000)
    s3.client().put_object(Bucket=bucket, Key="weights.pth", Body=data)
    with faulty_proxy(s3.endpoint) as proxy, s3_environment(s3.environment | {"AWS_ENDPOINT_URL": proxy.endpoint}):
        code = f"from pipeline.weights.fetching import fetch; print(fetch('{s3_uri}/weights.pth', 'key'))"
        processes = [
            subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        paths = {process.communicate(timeout=120)[0].strip() for process in processes}
        assert [process.returncode for process in processes] == [0, 0]
        assert len(paths) == 1
        path = Path(paths.pop())
        assert path.read_bytes() == data
        assert path.suffix == ".pth"
        assert len([1 for method, path in proxy.requests if method == "GET" and "weights.pth" in path]) == 1
        # What is put there later is another file.
        s3.client().put_object(Bucket=bucket, Key="weights.pth", Body=b"new")
        assert fetch(f"{s3_uri}/weights.pth", "key").read_bytes() == b"new"
        with pytest.raises(UserError, match="key: cannot use"):
            fetch(f"{s3_uri}/nothing.pth", "key")


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_a_model_on_s3(s3, s3_uri):
    for name in ("config.json", "model.safetensors", "notes.md"):
        s3.client().put_object(Bucket=s3_uri.removeprefix("s3://"), Key=f"model/{name}", Body=name.encode())
    folder = fetch_model(f"{s3_uri}/model", "key")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "config.json": "config.json",
        "model.safetensors": "model.safetensors",
    }
    assert fetch_model(f"{s3_uri}/model", "key") == folder


def test_directories_that_are_no_model(tmp_path):
    with pytest.raises(UserError, match="key: there is no directory"):
        fetch_model(str(tmp_path / "nothing"), "key")
    with pytest.raises(UserError, match=r"key: .* holds no config\.json"):
        fetch_model(str(tmp_path), "key")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("hf-hub:org", "is not hf-hub:org/repo"),
        ("hf-hub:org/repo", "names a repository, not a file"),
        ("hf-hub:org/repo/weights.pth", "cannot be had from the Hugging Face hub"),
        ("hf-hub:org/repo@v1/weights.pth", "cannot be had from the Hugging Face hub"),
    ],
)
def test_files_of_the_hub_that_cannot_be_had(uri, message, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=f"key: .*{message}"):
        fetch(uri, "key")
    if uri.count("/") != 1:
        return
    with pytest.raises(UserError, match="cannot be had"):
        fetch_model(uri, "key")


class _Gated(BaseHTTPRequestHandler):
    """A hub that answers as huggingface.co does for a gated model without a token."""

    def do_GET(self):
        self.send_response(401)
        self.send_header("X-Error-Code", "GatedRepo")
        self.send_header("X-Error-Message", "Access to model org/repo is restricted.")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


def test_a_gated_model_says_where_to_ask_for_access(monkeypatch, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Gated) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", endpoint)
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        said = r"^key: hf-hub:org/repo.* is gated.*https://huggingface\.co/org/repo .*HF_TOKEN"
        with pytest.raises(UserError, match=said):
            fetch("hf-hub:org/repo@v1/weights.pth", "key")
        with pytest.raises(UserError, match=said):
            fetch_model("hf-hub:org/repo", "key", vocabulary=True)
        server.shutdown()


def test_digests(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"1").hexdigest()
    (tmp_path / "b").write_bytes(b"2")
    before = sha256(tmp_path)
    assert before == sha256(tmp_path)
    (tmp_path / "b").write_bytes(b"3")
    assert sha256(tmp_path) != before
