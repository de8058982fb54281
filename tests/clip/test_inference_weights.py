"""Weights that are cast once: the features of autocast, which casts them at every batch, bit by bit."""

import open_clip
import pytest
import timm
import torch
from open_clip.model import _build_vision_tower
from timm.models import register_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.clip import MaskPromptedVision
from pipeline.clip.inference_weights import inference_weights
from tests.clip.towers import EMBED_DIM, VISION_CFGS, image_size, tower


@pytest.fixture(autouse=True)
def attention_as_on_a_gpu():
    """Under autocast a GPU takes torch's scaled dot products; on the CPU, torch's own attention would be in the way."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(before)


@register_model
def ovseg_test_standardized(pretrained=False, **kwargs):
    """Convolutions that standardize their weights in each forward pass."""
    return timm.create_model("resnetv2_50", layers=(1, 1, 1, 1), channels=(8, 8, 16, 16), **kwargs)


@register_model
def ovseg_test_convnext(pretrained=False, **kwargs):
    return timm.create_model("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 8, 16, 16), **kwargs)


def convolutional(kind: str) -> nn.Module:
    torch.manual_seed(0)
    if kind == "ResNet":
        cfg = {"image_size": 64, "layers": (1, 1, 1, 1), "width": 8, "head_width": 16}
    else:
        cfg = {"timm_model_name": kind, "timm_pool": "avg", "timm_proj": "linear", "image_size": 64}
    built = _build_vision_tower(EMBED_DIM, cfg).eval()
    for module in built.modules():  # as after training, not as they begin
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return built


def inputs(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    pixels_B3SS = torch.randn(3, 3, height, width, generator=generator)
    masks_B1SS = torch.zeros(3, 1, height, width, dtype=torch.bool)
    masks_B1SS[:, :, : height // 2, : width // 3] = True
    return pixels_B3SS, masks_B1SS


@torch.inference_mode()
def features(vision: nn.Module, *batch: torch.Tensor, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    with torch.autocast("cpu", dtype):
        return vision(*batch)


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("kind", VISION_CFGS)
def test_transformers_give_what_autocast_gives(kind, depth):
    vision = MaskPromptedVision(tower(kind), depth).eval()
    cast = inference_weights(vision, torch.bfloat16)
    batch = inputs(*image_size(kind))
    assert features(cast, *batch).equal(features(vision, *batch))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["ResNet", "resnet18", "ovseg_test_standardized", "ovseg_test_convnext"])
def test_convolutions_give_what_autocast_gives(kind, dtype):
    vision = MaskPromptedVision(convolutional(kind), 0).eval()
    cast = inference_weights(vision, dtype)
    batch = inputs(64, 64)
    found, expected = features(cast, *batch, dtype=dtype), features(vision, *batch, dtype=dtype)
    # Some CPUs convolve weights that were cast before by another kernel, which rounds in another order.
    rounding = 4 * torch.finfo(dtype).eps * float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0, atol=rounding)


def test_the_tower_itself_stays():
    vision = MaskPromptedVision(tower("class token"), 2).eval()
    before = {name: weight.clone() for name, weight in vision.state_dict().items()}
    cast = inference_weights(vision, torch.float16)
    for name, weight in vision.state_dict().items():
        assert weight.dtype == torch.float32
        assert weight.equal(before[name])
        assert weight.is_contiguous()
    assert not any(parameter.requires_grad for parameter in cast.parameters())
    assert all(parameter.requires_grad for parameter in vision.parameters())


def test_what_is_cast_and_what_is_shared():
    vision = MaskPromptedVision(tower("class token"), 2).eval()
    cast, plain = (inference_weights(vision, dtype) for dtype in (torch.float16, None))
    names = {"conv1", "in_proj", "out_proj", "c_fc", "c_proj"}
    for name, weight in vision.named_parameters():
        halved = any(part.startswith(tuple(names)) for part in name.split("."))
        assert cast.get_parameter(name).dtype == (torch.float16 if halved else torch.float32), name
        assert (cast.get_parameter(name).data_ptr() == weight.data_ptr()) is not halved, name
        assert (plain.get_parameter(name).data_ptr() == weight.data_ptr()) is (name != "visual.conv1.weight"), name
    for copied in (cast, plain):
        assert copied.visual.conv1.weight.is_contiguous(memory_format=torch.channels_last)


class Operations(TorchDispatchMode):
    """Counts the operations that torch starts."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


def test_no_weight_is_cast_in_a_batch():
    vision = MaskPromptedVision(open_clip.create_model("ViT-B-32", load_weights=False).visual, 0).eval()
    counts = []
    for tried in (vision, inference_weights(vision, torch.bfloat16)):
        with Operations() as operations:
            features(tried, *inputs(224, 224))
        counts.append(operations.count)
    # Of 12 blocks weight and bias of four layers: into and out of the attention, two of the MLP. And the convolution.
    assert counts[0] - counts[1] == 12 * 8 + 1
