"""Images of coloured fields, and proposal models that find the fields by their colours."""

import numpy as np

from pipeline.images import ImageProblem
from pipeline.masks.masks import Masks
from pipeline.proposals import Proposals, ProposalsConfig
from pipeline.proposals.proposer import NamedProposals, Queries

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 220)}


def fields(height: int = 24, width: int = 36) -> np.ndarray:
    """Three upright stripes, uint8 [H,W,3]."""
    image = np.zeros((height, width, 3), np.uint8)
    for index, colour in enumerate(COLOURS.values()):
        image[:, index * width // 3 : (index + 1) * width // 3] = colour
    return image


def _fields_of(image: np.ndarray) -> np.ndarray:
    """bool [Q,H,W]: the colours that there are, and two overlapping halves."""
    found = [(image == colour).all(axis=2) for colour in COLOURS.values()]
    halves = [np.zeros(image.shape[:2], bool) for _ in range(2)]
    halves[0][: image.shape[0] * 2 // 3] = True
    halves[1][image.shape[0] // 3 :] = True
    return np.stack([mask for mask in (*found, *halves) if mask.any()])


class ColourProposer:
    """Binary masks of the fields; none for a black image."""

    batch_size = 4

    def __init__(self, config: ProposalsConfig | None = None):
        self.identity = {"name": "colours"}

    def propose(self, images, image_ids):
        found = [_fields_of(image) if image.any() else np.zeros((0, *image.shape[:2]), bool) for image in images]
        return [Proposals(Masks.encode(mask), np.ones(len(mask), np.float32)) for mask in found]


NAMED = {"red thing": "red", "fire": "red", "grass": "green", "sea": "blue", "air": "blue"}


class ColoursByName(ColourProposer):
    """Binary masks of those fields that it is asked for."""

    prompted = True

    def propose(self, images, image_ids):
        raise AssertionError("it is asked by names")

    def propose_named(self, images, image_ids, names):
        return [self._named(*of_image) for of_image in zip(images, names, strict=True)]

    def _named(self, image, names):
        found = [(name, (image == COLOURS[NAMED[name]]).all(axis=2)) for name in names if name in NAMED]
        found = [(name, mask) for name, mask in found if mask.any()]
        masks = np.stack([mask for _, mask in found]) if found else np.zeros((0, *image.shape[:2]), bool)
        prompts = tuple({name: 1.0} for name, _ in found)
        unanswered = {name: ImageProblem("not_found") for name in names if name not in dict(found)}
        proposals = Proposals(Masks.encode(masks), np.ones(len(masks), np.float32), None, prompts, tuple(names))
        return NamedProposals(proposals, unanswered)


class ColourQueries(ColourProposer):
    """Soft masks of the fields at half the resolution, classified by an arbitrary but fixed rule."""

    def propose_queries(self, images, image_ids, texts_ND):
        return [self._queries(image, texts_ND) for image in images]

    def _queries(self, image, texts_ND):
        masks_Qhw = _fields_of(image)[:, ::2, ::2]
        rng = np.random.default_rng(len(texts_ND))
        return Queries(
            mask_logits=np.where(masks_Qhw, 2.0, -2.0).astype(np.float32)
            + rng.normal(0, 1, (len(masks_Qhw), 1, 1)).astype(np.float32),
            class_logits=rng.normal(0, 2, (len(masks_Qhw), len(texts_ND) + 1)).astype(np.float32),
        )
