"""Configurations: LazyConfigs, names of the model zoo, options, and what cannot be used."""

import sys

import pytest
import torch

from pipeline.errors import UserError
from pipeline.proposals import ProposalsConfig, load_proposer
from tests.proposals.detectron2.models import EVERYTHING, INPUT, LAZY, MODEL, photograph, proposer


def test_options_change_lazy_configurations(lazy):
    config, weights = lazy
    options = ["dataloader.test.mapper.augmentations.0.short_edge_length=96", "model.sem_seg_head.loss_weight=2"]
    plain, changed = proposer(config, weights, **EVERYTHING), proposer(config, weights, options[:1], **EVERYTHING)
    image = photograph()
    assert plain.propose([image], ["1"])[0].masks != changed.propose([image], ["1"])[0].masks
    with pytest.raises(UserError, match=r"^proposals\.options\.weights: .*of another shape: sem_seg_head"):
        proposer(config, weights, ["model.sem_seg_head.num_classes=5"])
    with pytest.raises(UserError, match=r"^proposals\.options\.config: .*cannot be built"):
        proposer(config, weights, ["model.sem_seg_head.no_such_argument=1"])


def test_lazy_preprocessing_that_would_move_masks_is_refused(lazy, tmp_path):
    resize = "L(T.ResizeShortestEdge)(short_edge_length=48, max_size=96)"
    for step in ("L(T.Resize)(shape=[48, 48])", resize.replace("48,", "[48, 64],"), f"{resize}, L(T.RandomFlip)()"):
        (tmp_path / "model.py").write_text(LAZY.replace(resize, step))
        with pytest.raises(UserError, match=r"test\.mapper\.augmentations are .* ResizeShortestEdge of one length"):
            proposer(tmp_path / "model.py", lazy[1])


def flat(tree: dict, prefix: str = "") -> list[str]:
    """KEY=VALUE for every leaf."""
    return [
        option
        for key, value in tree.items()
        for option in (flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}={value}"])
    ]


def test_names_of_the_model_zoo(mask_rcnn):
    config, weights = mask_rcnn
    options = flat({"MODEL": MODEL | {"PIXEL_STD": [1.0, 1.0, 1.0]}, "INPUT": INPUT})
    zoo = proposer("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml", weights, options, **EVERYTHING)
    [from_zoo] = zoo.propose([photograph()], ["1"])
    [from_file] = proposer(config, weights, **EVERYTHING).propose([photograph()], ["1"])
    assert from_zoo.masks == from_file.masks


def test_without_detectron2_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "detectron2", None)  # as if it were not there
    monkeypatch.delitem(sys.modules, "pipeline.proposals.detectron2.loading", raising=False)
    with pytest.raises(UserError, match=r"^proposals\.backend: detectron2 cannot be imported.* pip install .*github"):
        proposer("mask_rcnn.yaml", "model.pth")


@pytest.mark.parametrize("missing", ["config", "weights"])
def test_without_configuration_or_weights_nothing_goes(missing):
    options = {"config": "mask_rcnn.yaml", "weights": "model.pth"}
    del options[missing]
    with pytest.raises(UserError, match=rf"^proposals\.options\.{missing} is empty: give"):
        load_proposer(ProposalsConfig("detectron2", options))


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("absent.yaml", None, "is neither a YAML or LazyConfig"),
        ("unknown.yaml", "MODEL: {META_ARCHITECTURE: Mask9000}\nVERSION: 2\n", "cannot be built: KeyError.*Mask9000"),
        (
            "foreign.yaml",
            "MODEL: {MASK_FORMER: {DEC_LAYERS: 10}}\nVERSION: 2\n",
            "Non-existent config key.*MASK_FORMER",
        ),
        ("tags.yaml", "VERSION: !!python/object/apply:eval ['2']\n", "cannot be read: ConstructorError"),
        ("broken.yaml", "MODEL: [\n", "cannot be read"),
        ("lab.yaml", "INPUT: {FORMAT: L}\nVERSION: 2\n", "images in L, which is neither RGB nor BGR"),
        ("empty.py", "", "defines no `model`"),
        ("broken.py", "model = (", "cannot be read: SyntaxError"),
    ],
)
def test_configurations_that_cannot_be_used(detectron2, tmp_path, name, text, problem):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=rf"(?s)^proposals\.options\.config: .*{problem}"):
        proposer(tmp_path / name, "model.pth")


@pytest.mark.parametrize("option", ["MODEL.NO_SUCH_KEY=1", "MODEL.MASK_ON=[1]", "MODEL.MASK_ON"])
def test_options_that_cannot_be_used(mask_rcnn, option):
    with pytest.raises(UserError, match=r"^proposals\.options\.changes: "):
        proposer(*mask_rcnn, [option])


def test_identity_tells_configurations_and_weights_apart(mask_rcnn, lazy, tmp_path):
    config, weights = mask_rcnn
    torch.save({name: weight + 1 for name, weight in torch.load(weights)["model"].items()}, tmp_path / "other.pth")
    identity = proposer(config, weights).identity
    assert identity == proposer(config, weights).identity
    changed = proposer(config, weights, ["MODEL.ROI_HEADS.SCORE_THRESH_TEST=0.2"]).identity
    assert {key for key in identity if identity[key] != changed[key]} == {"config_sha256"}
    changed = proposer(config, tmp_path / "other.pth").identity
    assert {key for key in identity if identity[key] != changed[key]} == {"weights_sha256"}
    assert proposer(*lazy).identity == proposer(*lazy).identity
