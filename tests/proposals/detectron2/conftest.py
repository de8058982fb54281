"""Configurations and weights of small models."""

from pathlib import Path

import pytest
import torch

from tests.proposals.detectron2.models import LAZY, save_random_weights, write_config


@pytest.fixture(scope="module")
def detectron2():
    return pytest.importorskip("detectron2", reason="detectron2 is not on PyPI; see pipeline/proposals/README.md")


def _write_model(folder: Path, architecture: str) -> tuple[Path, Path]:
    config, weights = write_config(folder, architecture), folder / "model.pth"
    save_random_weights(config, weights)
    return config, weights


@pytest.fixture(scope="module", params=["GeneralizedRCNN", "PanopticFPN", "SemanticSegmentor"])
def any_model(request, detectron2, tmp_path_factory) -> tuple[Path, Path]:
    """Configuration and weights of a model of instance, panoptic or semantic segmentation."""
    return _write_model(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def mask_rcnn(detectron2, tmp_path_factory) -> tuple[Path, Path]:
    return _write_model(tmp_path_factory.mktemp("mask_rcnn"), "GeneralizedRCNN")


@pytest.fixture(scope="module")
def semantic(detectron2, tmp_path_factory) -> tuple[Path, Path]:
    return _write_model(tmp_path_factory.mktemp("semantic"), "SemanticSegmentor")


@pytest.fixture(scope="module")
def lazy(detectron2, tmp_path_factory) -> tuple[Path, Path]:
    from detectron2.config import LazyConfig, instantiate

    folder = tmp_path_factory.mktemp("lazy")
    (folder / "model.py").write_text(LAZY)
    torch.manual_seed(0)
    model = instantiate(LazyConfig.load(str(folder / "model.py")).model)
    torch.save(model.state_dict(), folder / "model.pth")
    return folder / "model.py", folder / "model.pth"
