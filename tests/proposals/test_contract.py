"""What every backend keeps to, whoever wrote it: built-in, learned (with random weights), or one's own."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.masks import rle
from pipeline.proposals import ProposalsConfig, Proposer, load_proposer, resolve_proposals
from pipeline.proposals.backends import BACKENDS, find_backend
from pipeline.proposals.recall import best_overlaps
from tests.proposals.detectron2.models import save_random_weights, write_config
from tests.proposals.invariants import check_invariants
from tests.proposals.own_backend import BACKEND as OWN
from tests.proposals.own_backend import write_own_backend
from tests.proposals.tiny_prompted import PROMPTED

SIZES = [(48, 72), (40, 40), (48, 72), (1, 1), (1, 5000), (5000, 1), (3, 3), (7, 3), (2, 700)]
IMAGES = [
    np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8) for seed, size in enumerate(SIZES, start=1)
]
IDS = [str(number) for number in range(1, len(SIZES) + 1)]
EVERYTHING = {"min_area": 0, "max_area": 1, "max_iou": 1, "max_proposals": 1000}
LEARNED = {"maskformer", "mask2former", "sam2", "detectron2", *PROMPTED}


def annotate(path: Path) -> dict:
    """Options of `ground_truth`: the halves of every image and all of it."""
    objects = []
    for image_id, (height, width) in zip(IDS, SIZES, strict=True):
        whole, upper, left = (np.zeros((height, width), bool) for _ in range(3))
        whole[:] = upper[: (height + 1) // 2] = left[:, : (width + 1) // 2] = True
        for code in rle.encode(np.stack([whole, upper, left])):
            segmentation = {"size": [height, width], "counts": code.decode()}
            objects.append({"image_id": int(image_id), "category_id": 1, "segmentation": segmentation, "iscrowd": 0})
    content = {
        "images": [
            {"id": int(image_id), "file_name": f"{image_id}.jpg", "height": height, "width": width}
            for image_id, (height, width) in zip(IDS, SIZES, strict=True)
        ],
        "annotations": [{"id": number} | annotation for number, annotation in enumerate(objects)],
        "categories": [{"id": 1, "name": "part"}],
    }
    path.write_text(json.dumps(content))
    return {"annotations": str(path)}


# What `mined` proposes was limited when it was made, and no image is without: tests/proposals/test_mined.py. Those that
# are asked by names: tests/proposals/test_prompted.py.
@pytest.fixture(scope="module", params=[name for name in (*BACKENDS, OWN) if name not in ("mined", *PROMPTED)])
def backend(request, tmp_path_factory) -> tuple[str, dict]:
    """Name and options of a backend."""
    folder = tmp_path_factory.mktemp("backend")
    if request.param == OWN:
        write_own_backend(folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            yield OWN, {"stripes": 3}
        return
    if request.param == "detectron2":
        pytest.importorskip("detectron2", reason="detectron2 is not on PyPI; see pipeline/proposals/README.md")
        config = write_config(folder, "GeneralizedRCNN")
        save_random_weights(config, folder / "model.pth")
        yield request.param, {"config": str(config), "weights": str(folder / "model.pth")}
    elif request.param == "ground_truth":
        yield request.param, annotate(folder / "instances.json")
    elif request.param == "segments":
        yield request.param, {"working_side": 64}
    else:
        yield request.param, request.getfixturevalue("random_models")[request.param]


def load(backend: tuple[str, dict], **limits: object) -> Proposer:
    name, options = backend
    return load_proposer(ProposalsConfig(name, options, **limits))


@pytest.mark.parametrize("limits", [EVERYTHING, {"min_area": 0.05, "max_iou": 0.5, "max_proposals": 3}])
def test_proposals_are_ranked_masks_of_the_image_within_the_limits(backend, limits):
    config = ProposalsConfig(*backend, **limits)
    for found, image in zip(load(backend, **limits).propose(IMAGES, IDS), IMAGES, strict=True):
        check_invariants(found, image, config)


def test_an_image_may_have_no_proposals_and_a_call_no_image(backend):
    proposer = load(backend, min_area=0.9999, max_area=0.99991)
    for found in proposer.propose(IMAGES[:2], IDS[:2]):
        assert (len(found.masks), found.scores.shape, found.scores.dtype) == (0, (0,), np.float32)
    assert proposer.propose([], []) == []


def test_an_image_gets_the_same_alone_and_among_others(backend):
    together = load(backend, batch_size=3, **EVERYTHING).propose(IMAGES, IDS)
    proposer = load(backend, batch_size=1, **EVERYTHING)
    assert sum(len(found.masks) for found in together) > 0
    for image, image_id, found in zip(IMAGES, IDS, together, strict=True):
        [alone] = proposer.propose([image], [image_id])
        assert len(alone.masks) == len(found.masks)
        np.testing.assert_allclose(alone.scores, found.scores, rtol=1e-3)
        # Masks of nearly the same score may change places, and a few pixels of nearly no logit their side.
        assert (best_overlaps(found.masks, alone.masks) > 0.98).all()


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 4), np.uint8), r"uint8 \[4, 4\]"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 \[4, 4, 4\]"),
        (np.zeros((4, 4, 3)), r"float64 \[4, 4, 3\]"),
        (np.zeros((0, 4, 3), np.uint8), r"uint8 \[0, 4, 3\]"),
    ],
    ids=["grey", "four channels", "float", "empty"],
)
def test_arrays_that_are_no_images_are_refused(backend, image, said):
    with pytest.raises(ValueError, match=rf"must be RGB, uint8 \[H, W, 3\], got {said}"):
        load(backend).propose([image], ["1"])


def test_the_identity_is_text_and_does_not_depend_on_the_process(backend):
    identity = load(backend).identity
    assert identity == load(backend, batch_size=1).identity
    assert {"name", "version"} <= identity.keys()
    assert all(isinstance(value, str) for value in identity.values())
    for key, value in identity.items():
        assert not key.endswith("_sha256") or len(value) == 64


def test_resolved_options_are_complete_and_resolve_to_themselves(backend):
    name, given = backend
    resolved = resolve_proposals(ProposalsConfig(name, given))
    assert resolved.options | given == resolved.options
    assert resolve_proposals(resolved) == resolved
    assert json.loads(json.dumps(resolved.options)) == resolved.options
    assert load_proposer(resolved).identity == load(backend).identity


def test_an_unknown_option_is_refused_by_its_key(backend):
    name, given = backend
    with pytest.raises(UserError, match=r"^proposals\.options\.depth_9: the backend .* has no such option; it has "):
        resolve_proposals(ProposalsConfig(name, given | {"depth_9": 1}))


@pytest.mark.parametrize("name", BACKENDS)
def test_which_backends_are_learned(name):
    assert find_backend(name).learned == (name in LEARNED)
