"""`clip.compile`: features in compiled kernels, and the way out where there are none.

Machines without a C++ compiler check the way out alone.
"""

import logging
import os
import shutil
import subprocess
import sys
import threading

import pytest
import torch
import torch._inductor.config
import torch.nn.functional as F  # noqa: N812
from torch import nn

from pipeline.clip import ClipConfig, MaskPromptedVision, load_clip
from pipeline.clip.compiled import CompiledVision
from tests.clip.test_inference_weights import convolutional, inputs
from tests.clip.towers import VISION_CFGS, image_size, tower

COMPILER = shutil.which(os.environ.get("CXX", "g++")) is not None
NAMED = "clip.compile: torch cannot compile this CLIP's vision tower here"


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    # Otherwise torch first finds out whether programs for each kind of vector registers can be built and run: 30 s.
    with torch._inductor.config.patch({"cpp.vec_isa_ok": True}):
        yield
    torch._dynamo.reset()


@pytest.fixture
def messages(caplog):
    """What the log says of compiling."""
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records if "clip.compile" in record.getMessage()]


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    close = torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    return close and bool((F.cosine_similarity(found, expected) > 1 - 1e-6).all())


# ---------------------------------------------------------------------------------- compiled


@pytest.mark.slow
def test_features_are_those_of_the_tower_itself(tiny_folder, messages):
    """With mask prompts; every batch in the same kernels, whoever asks and whatever lies between the pixels."""
    clip = load_clip(f"local-dir:{tiny_folder}", mask_prompt_depth=2, compiled_batch=3)
    clip.vision.prompts.normal_()
    encode = clip.region_vision
    assert len(messages()) == (0 if COMPILER else 1)
    kept = []
    with torch._dynamo.config.patch(error_on_recompile=True):  # one that does not fit compiles again: the log would say
        for seed in range(4):
            torch.manual_seed(seed)
            with torch.inference_mode(seed % 2 == 0):
                pixels_BSS3, masks_B1SS = torch.randn(3, 32, 32, 3), torch.rand(3, 1, 32, 32) > 0.98
                pixels_B3SS = pixels_BSS3.permute(0, 3, 1, 2).contiguous(
                    memory_format=torch.channels_last if seed < 2 else torch.contiguous_format
                )
            kept.append((encode(pixels_B3SS, masks_B1SS), clip.vision(pixels_B3SS, masks_B1SS)))
        thread = threading.Thread(target=lambda: kept.append((encode(pixels_B3SS, masks_B1SS), kept[-1][1])))
        thread.start()
        thread.join()
    assert len(kept) == 5
    assert all(same(*pair) for pair in kept)  # also the first, when all have been computed
    assert not same(kept[0][0], kept[1][0])
    assert len(messages()) == (0 if COMPILER else 1)


@pytest.mark.soak
@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("kind", VISION_CFGS)
def test_kernels_of_every_transformer(kind, depth, messages):
    check(MaskPromptedVision(tower(kind), depth).eval(), inputs(*image_size(kind)), messages)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["ResNet", "resnet18", "ovseg_test_standardized", "ovseg_test_convnext"])
def test_kernels_of_every_convolutional_tower(kind, messages):
    check(MaskPromptedVision(convolutional(kind), 0).eval(), inputs(64, 64), messages)


@torch.inference_mode()
def check(vision: MaskPromptedVision, batch, messages):
    assert same(CompiledVision(vision)(*batch), vision(*batch))
    assert len(messages()) == (0 if COMPILER else 1)


@pytest.mark.parametrize("kind", [*VISION_CFGS, "ResNet", "resnet18", "ovseg_test_standardized", "ovseg_test_convnext"])
@torch.inference_mode()
def test_every_tower_can_be_traced_as_a_whole(kind):
    """What comes before the kernels, which no C++ compiler is needed for."""
    transformer = kind in VISION_CFGS
    built = tower(kind) if transformer else convolutional(kind)
    vision = MaskPromptedVision(built, 2 if transformer else 0).eval()
    batch = inputs(*(image_size(kind) if transformer else (64, 64)))
    traced = torch.compile(vision, fullgraph=True, dynamic=False, backend="eager")
    assert same(traced(*batch), vision(*batch))


# ---------------------------------------------------------------------------------- not compiled

WITHOUT_COMPILER = """
import torch
from pipeline.clip import load_clip
clip = load_clip({name!r}, mask_prompt_depth=2, compiled_batch=4)
for seed in range(3):
    torch.manual_seed(seed)
    batch = torch.randn(4, 3, 32, 32), torch.rand(4, 1, 32, 32) > 0.98
    assert clip.region_vision(*batch).equal(clip.vision(*batch))
"""


def test_without_a_compiler_the_job_goes_on(tiny_folder, tmp_path):
    """Exactly as if nothing had been said, after one line of the log."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILER.format(name=f"local-dir:{tiny_folder}")],
        env=os.environ | {"CXX": str(tmp_path / "missing"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "clip.compile" in line]
    assert NAMED in line
    assert "compiler" in line
    assert "Set clip.compile to false" in line
    assert "Traceback" not in done.stderr


class Untraceable(nn.Module):
    """A tower that looks at its features: no graph holds that."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, pixels_B3SS):
        self.calls += 1
        if float(pixels_B3SS.sum()) == 0:
            raise FloatingPointError("nothing to see")
        return pixels_B3SS.mean((2, 3))


def test_a_tower_that_cannot_be_traced_runs_as_it_is(messages):
    vision = MaskPromptedVision(Untraceable(), 0)
    compiled = CompiledVision(vision)
    batch = inputs(8, 8)
    for calls in (1, 2, 3):
        assert compiled(*batch).equal(batch[0].mean((2, 3)))
        assert vision.visual.calls == calls
    [message] = messages()
    assert message.startswith(f"{NAMED} (")
    assert "\n" not in message


def test_what_fails_without_compiling_too_is_raised_as_it_is(messages):
    compiled = CompiledVision(MaskPromptedVision(Untraceable(), 0))
    with pytest.raises(FloatingPointError, match="nothing to see"):
        compiled(torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8, dtype=torch.bool))
    assert messages() == []


def test_nothing_is_compiled_unless_asked_for(tiny):
    """The features of the CPU stay as they are, to the last bit."""
    assert ClipConfig().compiled_batch is None
    assert ClipConfig(batch_size=7, compile=True).compiled_batch == 7
    pixels_B3SS, masks_B1SS = inputs(32, 32)
    found = tiny.region_vision(pixels_B3SS, masks_B1SS)
    assert found.equal(tiny.vision(pixels_B3SS, masks_B1SS))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 0
    assert tiny.region_vision is tiny.region_vision
