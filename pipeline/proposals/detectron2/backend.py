"""Images → a detectron2 model → proposals."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import torch
from PIL import Image

from pipeline.configuration.markers import LocalPath
from pipeline.errors import UserError
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.detectron2.outputs import to_proposals
from pipeline.proposals.networks import Batches, autocast, device, resized
from pipeline.proposals.proposer import Proposals

INSTALL = "pip install --no-build-isolation git+https://github.com/facebookresearch/detectron2"


@dataclass
class Detectron2Options:
    """The `detectron2` backend: any model of detectron2 that makes masks. It has to be installed. The threshold of its
    masks is detectron2's own, not `proposals.mask_threshold`."""

    config: Annotated[str | None, LocalPath.PATH_OR_NAME] = None
    """Path of a yacs YAML or of a LazyConfig (.py; it is run), or a name of the model zoo."""
    weights: Annotated[str | None, LocalPath.PATH_OR_NAME] = None
    """Path or URI of the checkpoint; `detectron2://…` too."""
    changes: list[str] = field(default_factory=list)
    """Changes to the configuration, each as KEY=VALUE: MODEL.ROI_HEADS.SCORE_THRESH_TEST=0.3"""


class Detectron2:
    """The masks of a detectron2 model, whatever its classes; `outputs` says which of its outputs become proposals.

    Images are resized and their channels ordered as the model's configuration says. A model of semantic segmentation
    holds its logits of every class at the size of the image, 4 · classes · height · width bytes an image.
    """

    options_class = Detectron2Options
    learned = True

    def __init__(self, config: ProposalsConfig, options: Detectron2Options) -> None:
        """Build the model and load its weights.

        Raises:
            UserError: detectron2 cannot be imported, or the configuration, an option or the weights cannot be used.
        """
        if not options.config:
            raise UserError(
                "proposals.options.config is empty: give the model's configuration, a YAML or LazyConfig file or a "
                "name of the model zoo, such as COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
            )
        if not options.weights:
            raise UserError(
                "proposals.options.weights is empty: give the checkpoint that belongs to "
                f"proposals.options.config ({options.config}), a path or a URI"
            )
        try:
            from pipeline.proposals.detectron2.loading import load_model  # an optional dependency
        except ImportError as error:
            raise UserError(
                f"proposals.backend: detectron2 cannot be imported ({error}). It is built from its source, for the "
                f"torch that is installed: {INSTALL}"
            ) from error
        self._config = config
        self._device = device()
        self._model = load_model(options, self._device)
        self._batches = Batches(config.batch_size)
        self.batch_size = config.batch_size
        self.identity = {
            "name": "detectron2",
            "version": "1",
            "config_sha256": self._model.config_sha256,
            "weights_sha256": self._model.weights_sha256,
        }

    def propose(self, images: Sequence[np.ndarray], image_ids: Sequence[str]) -> list[Proposals]:
        """Proposals of each image; what the scores are, says `outputs`.

        Args:
            images: uint8 [H, W, 3] RGB, of any sizes from 1 × 1.
            image_ids: not looked at.

        Raises:
            ImageProblem: `not_a_number`, the model returns no number as a score.
            UserError: the model gives boxes only.
            ValueError: an image is not such an array.
        """
        return self._batches.run(images, self._forward)

    @torch.inference_mode()
    def _forward(self, images: list[np.ndarray]) -> list[Proposals]:
        height, width = images[0].shape[:2]
        inputs = [{"image": self._prepare(image), "height": height, "width": width} for image in images]
        with autocast(self._config.precision, self._device):
            outputs = self._model.network(inputs)
        return [to_proposals(output, height, width, self._config) for output in outputs]

    def _prepare(self, image: np.ndarray) -> torch.Tensor:
        """uint8 [3, h, w] at the size and in the channel order of the model."""
        height, width = image.shape[:2]
        wanted = self._model.input
        if wanted.short_side:
            size = resized(height, width, wanted.short_side, wanted.max_side)
            image = np.asarray(Image.fromarray(image).resize(size[::-1], wanted.interpolation))
        if wanted.channels == "BGR":
            image = image[..., ::-1]
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
