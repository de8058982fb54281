"""A small MaskFormer and an OVSeg made of it."""

import pytest
import torch

from tests.proposals.maskformer.checkpoints import random_maskformer, swin_config, to_detectron2, to_ovseg


@pytest.fixture(scope="session")
def maskformer():
    """With a Swin backbone, as `transformers` has it."""
    return random_maskformer(swin_config())


@pytest.fixture(scope="session")
def ovseg_weights(maskformer):
    return to_ovseg(to_detectron2(maskformer))


@pytest.fixture(scope="session")
def ovseg_file(ovseg_weights, tmp_path_factory):
    """The checkpoint of an OVSeg as detectron2 writes it, with what training leaves beside the weights."""
    path = tmp_path_factory.mktemp("ovseg") / "ovseg.pth"
    torch.save({"model": ovseg_weights, "iteration": 119999, "optimizer": {"state": {0: {"step": 1}}}}, path)
    return path


@pytest.fixture(scope="session")
def maskformer_file(maskformer, tmp_path_factory):
    """The checkpoint of the MaskFormer in detectron2's layout."""
    path = tmp_path_factory.mktemp("maskformer") / "maskformer.pth"
    torch.save({"model": to_detectron2(maskformer)}, path)
    return path
