"""Images of many requests together, each with its own classes, without Ray."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.clip import ClipConfig, TextEmbedder
from pipeline.errors import UserError
from pipeline.images import ImageProblem, decode_jpeg
from pipeline.proposals import ProposalsConfig
from pipeline.segmentation import SegmentationConfig
from pipeline.segmentation.loading import load_segmenter
from pipeline.serving.config import ServerConfig
from pipeline.serving.models import Models, Request
from pipeline.serving.names import NameEmbeddings
from tests.segmentation.colours import fields
from tests.serving.colours_at_a_gate import UNUSABLE, plain


def jpeg(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=100, subsampling=0)
    return buffer.getvalue()


def configuration(tiny_folder, backend: str, tmp_path) -> ServerConfig:
    options = {"folder": str(tmp_path)} if backend.endswith("AtAGate") else {}
    return ServerConfig(
        clip=ClipConfig(architecture=f"local-dir:{tiny_folder}", weights=None, batch_size=4),
        proposals=ProposalsConfig(backend, options),
        segmentation=SegmentationConfig(templates="none", background=["other"]),
    )


@pytest.mark.parametrize(
    "backend",
    [
        "tests.serving.colours_at_a_gate:ColoursAtAGate",
        "tests.segmentation.colours:ColourQueries",
        "tests.segmentation.colours:ColoursByName",
    ],
)
def test_each_request_of_a_batch_gets_what_it_would_get_alone(tiny_folder, tmp_path, backend):
    config = configuration(tiny_folder, backend, tmp_path)
    wanted = [(("red thing", "fire"), ("grass",)), (("sea",),), (("grass",), ("sea",), ("sky", "air"))]
    images = [fields(), fields(40, 30), fields(24, 60), np.zeros((8, 9, 3), np.uint8)]
    requests = [Request(jpeg(image), classes) for image, classes in zip(images, [*wanted, wanted[0]], strict=True)]
    together = Models(config, gpu=False).segment(requests)
    for request, result in zip(requests, together, strict=True):
        segmenter = load_segmenter(config, request.classes, gpu=False)
        [(_, alone)] = segmenter.predict([(decode_jpeg(request.jpeg), "", None)])
        assert result.prediction.masks == alone.masks
        np.testing.assert_allclose(result.prediction.region_logits, alone.region_logits, atol=1e-3)
        weight = 0.7 if segmenter.classifies else 1.0
        assert result.weight == weight
        np.testing.assert_array_equal(result.prediction.label_map(weight), alone.label_map(weight))
        assert result.names == [*(names[0] for names in request.classes), "other"]


def test_what_is_wrong_with_one_request_is_its_own(tiny_folder, tmp_path):
    config = configuration(tiny_folder, "tests.serving.colours_at_a_gate:ColoursAtAGate", tmp_path)
    good, classes = jpeg(fields()), (("grass",),)
    requests = [Request(good, classes), Request(jpeg(plain(UNUSABLE)), classes), Request(good, (("other",),))]
    models = Models(config, gpu=False)
    first, unusable, background = models.segment(requests)
    assert first.prediction.classes == 1
    assert isinstance(unusable, ImageProblem)
    assert unusable.reason == "unusable"
    assert isinstance(background, UserError)
    assert "segmentation.background: 'other' is also a class" in str(background)
    assert [type(result) for result in models.segment(requests[1:])] == [ImageProblem, UserError]


def test_names_are_embedded_once_and_only_the_last_ones_kept(tiny):
    embed = NameEmbeddings(tiny, "none", kept=3)
    expected = TextEmbedder(tiny, "none")(["cat", "dog", "sofa", "sea"])
    np.testing.assert_allclose(embed(["cat", "dog"]), expected[:2], atol=1e-6)
    np.testing.assert_allclose(embed(["sofa", "cat", "cat"]), expected[[2, 0, 0]], atol=1e-6)
    # More names than are kept are embedded all the same, and then the ones used first are forgotten.
    np.testing.assert_allclose(embed(["cat", "dog", "sofa", "sea"]), expected, atol=1e-6)
    assert list(embed._known) == ["dog", "sofa", "sea"]
