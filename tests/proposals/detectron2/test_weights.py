"""Checkpoints: of other ages, in other names, of other models, damaged."""

import pickle
import re

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.proposals import Proposals
from tests.proposals.detectron2.models import EVERYTHING, photograph, proposer


def test_checkpoints_of_other_ages(mask_rcnn, tmp_path):
    """The model zoo's pickles of arrays hold anchors, some files pixel means; others lack batch statistics."""
    config, weights = mask_rcnn
    tensors = torch.load(weights)["model"]
    arrays = {name: tensor.numpy() for name, tensor in tensors.items() if "running" not in name}
    arrays["pixel_mean"] = np.zeros((3, 1, 1), np.float32)
    arrays["proposal_generator.anchor_generator.cell_anchors.0"] = np.zeros((3, 4), np.float32)
    with (tmp_path / "zoo.pkl").open("wb") as file:
        pickle.dump({"model": arrays, "__author__": "Detectron2 Model Zoo"}, file, protocol=2)
    [old] = proposer(config, tmp_path / "zoo.pkl", **EVERYTHING).propose([photograph()], ["1"])
    [new] = proposer(config, weights, **EVERYTHING).propose([photograph()], ["1"])
    assert_almost_same(old, new)


def assert_almost_same(one: Proposals, other: Proposals) -> None:
    """Up to the last bits of batch statistics."""
    assert len(one.masks) == len(other.masks) > 2
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-3)
    assert (one.masks.iou(other.masks).max(axis=1) > 0.95).all()


def caffe2_name(name: str) -> str:
    """The name that Detectron, before detectron2, gave a weight."""
    kind = {"weight": "w", "bias": "b"}[name.rpartition(".")[2]]
    branch = {"shortcut": "branch1", "conv1": "branch2a", "conv2": "branch2b", "conv3": "branch2c"}
    if found := re.fullmatch(r"backbone\.bottom_up\.stem\.conv1(\.norm)?\.\w+", name):
        return f"res_conv1_bn_{'s' if kind == 'w' else 'b'}" if found[1] else "conv1_w"
    if found := re.fullmatch(r"backbone\.bottom_up\.(res\d)\.(\d+)\.(\w+?)(\.norm)?\.\w+", name):
        stage, block, convolution, norm = found.groups()
        return f"{stage}_{block}_{branch[convolution]}_{'bn_' + ('s' if kind == 'w' else 'b') if norm else kind}"
    if found := re.fullmatch(r"backbone\.fpn_(lateral|output)(\d)\.\w+", name):
        last = {"2": 2, "3": 3, "4": 5, "5": 2}[found[2]]
        if found[1] == "lateral":
            return f"fpn_inner_res{found[2]}_{last}_sum_lateral_{kind}"
        return f"fpn_res{found[2]}_{last}_sum_{kind}"
    heads = {
        "proposal_generator.rpn_head.conv": "conv_rpn_fpn2",
        "proposal_generator.rpn_head.objectness_logits": "rpn_cls_logits_fpn2",
        "proposal_generator.rpn_head.anchor_deltas": "rpn_bbox_pred_fpn2",
        "roi_heads.box_head.fc1": "fc6",
        "roi_heads.box_head.fc2": "fc7",
        "roi_heads.box_predictor.cls_score": "cls_score",
        "roi_heads.box_predictor.bbox_pred": "bbox_pred",
        "roi_heads.mask_head.mask_fcn1": "_[mask]_fcn1",
        "roi_heads.mask_head.deconv": "conv5_mask",
        "roi_heads.mask_head.predictor": "mask_fcn_logits",
    }
    return f"{heads[name.rpartition('.')[0]]}_{kind}"


def test_caffe2_names(mask_rcnn, tmp_path):
    config, weights = mask_rcnn
    blobs = {}
    for name, tensor in torch.load(weights)["model"].items():
        if "running" in name:
            continue
        if ".cls_score." in name:  # the background came first
            tensor = torch.cat([tensor[-1:], tensor[:-1]])
        elif ".bbox_pred." in name:  # had boxes
            tensor = torch.cat([torch.zeros_like(tensor[:4]), tensor])
        elif ".mask_head.predictor." in name:  # and masks
            tensor = torch.cat([torch.zeros_like(tensor[:1]), tensor])
        blobs[caffe2_name(name)] = tensor.numpy()
    with (tmp_path / "old.pkl").open("wb") as file:
        pickle.dump({"model": blobs, "__author__": "Caffe2", "matching_heuristics": True}, file, protocol=2)
    [old] = proposer(config, tmp_path / "old.pkl", **EVERYTHING).propose([photograph()], ["1"])
    [new] = proposer(config, weights, **EVERYTHING).propose([photograph()], ["1"])
    assert_almost_same(old, new)


def test_checkpoints_of_other_models_are_refused(mask_rcnn, semantic, tmp_path):
    with pytest.raises(UserError, match=r"^proposals\.options\.weights: .*missing: proposal_generator\..*unexpected"):
        proposer(mask_rcnn[0], semantic[1])
    with pytest.raises(UserError, match=r"another shape: .*backbone\.fpn_lateral2\.bias \[16\], not \[24\]"):
        proposer(*mask_rcnn, ["MODEL.FPN.OUT_CHANNELS=24"])
    with pytest.raises(UserError, match=r"missing: backbone\.bottom_up\.res4\.10"):
        proposer(*mask_rcnn, ["MODEL.RESNETS.DEPTH=101"])
    torch.save({"another.weight": torch.zeros(2)}, tmp_path / "another.pth")
    with pytest.raises(UserError, match=r"unexpected: another\.weight \[2\]"):
        proposer(mask_rcnn[0], tmp_path / "another.pth")


def test_weights_that_are_no_numbers_are_refused(mask_rcnn, tmp_path):
    tensors = torch.load(mask_rcnn[1])["model"]
    tensors["backbone.fpn_output3.weight"][0, 0, 0, 0] = torch.nan
    torch.save(tensors, tmp_path / "damaged.pth")
    with pytest.raises(UserError, match=r"damaged\.pth is damaged, .* backbone\.fpn_output3\.weight$"):
        proposer(mask_rcnn[0], tmp_path / "damaged.pth")
