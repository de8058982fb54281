"""A detectron2 model from its configuration and weights. The only module here that imports detectron2."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import detectron2
import torch
from detectron2.checkpoint.c2_model_loading import align_and_update_state_dicts
from detectron2.config import CfgNode, LazyConfig, get_cfg, instantiate
from detectron2.data import transforms
from detectron2.modeling import build_model
from detectron2.projects.point_rend import add_pointrend_config
from detectron2.utils.file_io import Detectron2Handler
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.proposals.detectron2.backend import Detectron2Options
from pipeline.proposals.detectron2_bases import check_bases
from pipeline.weights.fetching import fetch, sha256
from pipeline.weights.reading import StateDict, read_tensors

_KEY = "proposals.options"
# Files of different age have them or not. The configuration says the values, or nothing needs them to predict.
_OPTIONAL = re.compile(r"(^|\.)(pixel_mean|pixel_std|num_batches_tracked)$|anchor_generator\.cell_anchors")
_NAMED = 3


@dataclass(frozen=True)
class Input:
    """How a model wants its images."""

    channels: str
    """RGB or BGR."""
    short_side: int
    """Pixels; 0: images are not resized."""
    max_side: int
    """Pixels."""
    interpolation: int
    """Pillow's `Image.Resampling`."""


@dataclass(frozen=True)
class Model:
    """A model ready for use."""

    network: torch.nn.Module
    """In evaluation mode; called with detectron2's list of dictionaries."""
    input: Input
    config_sha256: str
    """Of the whole configuration, with its bases and changes."""
    weights_sha256: str


def load_model(options: Detectron2Options, device: torch.device) -> Model:
    """Build the model that `options` describe, on `device`.

    A LazyConfig is a Python program, and it is run. A YAML file is only read: one with Python tags is refused.

    Raises:
        UserError: naming the key, for a configuration, a change to it or a checkpoint that cannot be used.
    """
    assert options.config is not None  # the backend refuses options without
    assert options.weights is not None
    path = _find(options.config)
    build = _build_lazy if path.suffix == ".py" else _build_yacs
    network, wanted, description = build(path, options.changes, device)
    if wanted.channels not in ("RGB", "BGR"):
        raise UserError(f"{_KEY}.config: {path} asks for images in {wanted.channels}, which is neither RGB nor BGR")
    weights = fetch(_expand(options.weights), f"{_KEY}.weights")
    _load_weights(network, read_tensors(weights), options)
    config_sha256 = hashlib.sha256(description.encode()).hexdigest()
    return Model(network.eval().requires_grad_(False), wanted, config_sha256, sha256(weights))


def _find(config: str) -> Path:
    """The file of a configuration, by its path or its name in the model zoo."""
    # Not detectron2.model_zoo.get_config_file: it needs pkg_resources, which setuptools no longer has.
    zoo = Path(detectron2.__file__).parent / "model_zoo" / "configs"
    for path in (Path(config), zoo / config):
        if path.is_file() and path.suffix in (".yaml", ".yml", ".py"):
            return path
    raise UserError(
        f"{_KEY}.config: {config!r} is neither a YAML or LazyConfig (.py) file nor a configuration of the model zoo "
        f"({zoo})"
    )


def _expand(uri: str) -> str:
    prefix = Detectron2Handler.PREFIX
    return Detectron2Handler.S3_DETECTRON2_PREFIX + uri.removeprefix(prefix) if uri.startswith(prefix) else uri


def _build_yacs(path: Path, changes: list[str], device: torch.device) -> tuple[torch.nn.Module, Input, str]:
    cfg = get_cfg()
    add_pointrend_config(cfg)  # installed with detectron2; models of other projects come as a LazyConfig
    check_bases(path)
    with _as_user_error("config", f"{path} cannot be read"):
        cfg.merge_from_file(str(path), allow_unsafe=False)
    _check_changes(changes)
    with _as_user_error("changes", f"{changes} do not fit {path}"):
        cfg.merge_from_list([part for change in changes for part in change.split("=", 1)])
    cfg.MODEL.WEIGHTS = cfg.MODEL.DEVICE = ""  # where it comes from and runs does not make another model
    description = cfg.dump()
    cfg.MODEL.DEVICE = str(device)
    with _as_user_error("config", f"the model in {path} cannot be built"):
        network = build_model(cfg)
    wanted = Input(cfg.INPUT.FORMAT, cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST, Image.Resampling.BILINEAR)
    return network, wanted, description


def _build_lazy(path: Path, changes: list[str], device: torch.device) -> tuple[torch.nn.Module, Input, str]:
    with _as_user_error("config", f"{path} cannot be read"):
        cfg = LazyConfig.load(str(path))
    if "model" not in cfg:
        raise UserError(f"{_KEY}.config: {path} defines no `model`")
    _check_changes(changes)
    with _as_user_error("changes", f"{changes} do not fit {path}"):
        cfg = LazyConfig.apply_overrides(cfg, changes)
    with _as_user_error("config", f"the model in {path} cannot be built"):
        mapper = OmegaConf.select(cfg, "dataloader.test.mapper")
        wanted = _lazy_input(cfg.model, mapper, get_cfg())
        network = instantiate(cfg.model).to(device)
        description = json.dumps([_plain(cfg.model), _plain(mapper)], default=_name)
    return network, wanted, description


def _lazy_input(model: DictConfig, mapper: DictConfig | None, defaults: CfgNode) -> Input:
    """What the mapper of the test images says; without one, what detectron2 does by default."""
    if mapper is None:
        channels = model.get("input_format") or defaults.INPUT.FORMAT
        return Input(channels, defaults.INPUT.MIN_SIZE_TEST, defaults.INPUT.MAX_SIZE_TEST, Image.Resampling.BILINEAR)
    steps = list(instantiate(mapper.augmentations))
    if not steps:
        return Input(mapper.image_format, 0, 0, Image.Resampling.BILINEAR)
    [resize, *others] = steps
    if others or not isinstance(resize, transforms.ResizeShortestEdge) or len(set(resize.short_edge_length)) != 1:
        raise UserError(
            f"{_KEY}.config: dataloader.test.mapper.augmentations are {steps}; what can be used is one "
            "ResizeShortestEdge of one length, or nothing"
        )
    return Input(mapper.image_format, resize.short_edge_length[0], resize.max_size, resize.interp)


def _plain(cfg: DictConfig | None) -> Any:
    return OmegaConf.to_container(cfg, resolve=True) if cfg is not None else None


def _name(thing: Any) -> str:
    """Classes and functions by their name; addresses in memory differ from run to run."""
    return getattr(thing, "__qualname__", None) or re.sub(r" at 0x[0-9a-f]+", "", repr(thing))


def _check_changes(changes: list[str]) -> None:
    for change in changes:
        if "=" not in change:
            raise UserError(f"{_KEY}.changes: {change!r} is not KEY=VALUE")


@contextlib.contextmanager
def _as_user_error(key: str, what: str) -> Iterator[None]:
    """detectron2, yacs and omegaconf raise many kinds of errors, here all about the given file or values."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{_KEY}.{key}: {what}: {type(error).__name__}: {error}") from error


def _load_weights(network: torch.nn.Module, weights: StateDict, options: Detectron2Options) -> None:
    own = network.state_dict()
    if not own.keys() & weights.keys():
        # Caffe2's names (no dots), or names without the prefix of the module they belong to.
        with _as_user_error("weights", str(options.weights)):
            weights = align_and_update_state_dicts(own, weights, c2_conversion=not any("." in name for name in weights))
    differing = [name for name in weights.keys() & own.keys() if weights[name].shape != own[name].shape]
    missing, unexpected = network.load_state_dict(
        {name: weight for name, weight in weights.items() if name not in differing}, strict=False
    )
    problems = (
        ("missing", [f"{name} {list(own[name].shape)}" for name in _needed(missing) if name not in differing]),
        ("unexpected", [f"{name} {list(weights[name].shape)}" for name in _needed(unexpected)]),
        (
            "of another shape",
            [f"{name} {list(weights[name].shape)}, not {list(own[name].shape)}" for name in differing],
        ),
    )
    if any(names for _, names in problems):
        found = "; ".join(f"{problem}: {first_of(sorted(names), _NAMED)}" for problem, names in problems if names)
        raise UserError(
            f"{_KEY}.weights: {options.weights} is not for the model of {_KEY}.config ({options.config}); {found}"
        )
    # R-CNNs drop detections that are not numbers: every image would have none, and nobody would know why.
    if damaged := [name for name, weight in weights.items() if weight.is_floating_point() and weight.isnan().any()]:
        raise UserError(
            f"{_KEY}.weights: {options.weights} is damaged, it has values that are no numbers in {damaged[0]}"
        )


def _needed(names: list[str]) -> list[str]:
    return [name for name in names if not _OPTIONAL.search(name)]
