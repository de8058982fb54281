"""The ResNets of MaskFormer: detectron2's R50, R101 and, with DeepLab's stem, R101c."""

from collections.abc import Sequence

import torch
from timm.models.resnet import Bottleneck, ResNet
from transformers.modeling_outputs import BackboneOutput

# Dilation of the 3×3 convolutions in the three blocks of the last stage (DeepLab's "multi-grid").
_MULTI_GRID = (1, 2, 4)


class ResNetBackbone(ResNet):
    """A ResNet of bottleneck blocks that returns the feature maps of its four stages, strides 4 to 32.

    With the deep stem of DeepLab come the dilations of DeepLab's last stage: detectron2 builds both in one function,
    and no weight shows the dilations.
    """

    def __init__(self, blocks: Sequence[int], widths: Sequence[int], deep_stem_width: int | None):
        """
        Args:
            blocks: per stage.
            widths: channels of the 3×3 convolutions, per stage; the feature maps have four times as many.
            deep_stem_width: channels of the first of three 3×3 convolutions; None for one 7×7 convolution.
        """
        stem = {} if deep_stem_width is None else {"stem_type": "deep", "stem_width": deep_stem_width}
        super().__init__(Bottleneck, tuple(blocks), num_classes=0, channels=tuple(widths), **stem)
        self.deep_stem = deep_stem_width is not None
        self.channels = [4 * width for width in widths]
        if self.deep_stem:
            for block, rate in zip(self.layer4, _MULTI_GRID, strict=False):
                block.conv2.dilation = block.conv2.padding = (rate, rate)

    def forward(self, pixels_B3HW: torch.Tensor) -> BackboneOutput:
        """The feature maps, the finest first."""
        maps = self.forward_intermediates(pixels_B3HW, indices=[1, 2, 3, 4], intermediates_only=True)
        return BackboneOutput(feature_maps=tuple(maps))
