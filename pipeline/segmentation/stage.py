"""The worker of a segmentation job: image files in, label maps and overlays out."""

import json
import posixpath
import traceback
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline import storage
from pipeline.errors import UserError
from pipeline.images import ImageProblem, ImagesConfig, decode_jpeg, read_upright
from pipeline.proposals import Proposals
from pipeline.proposals.proposer import Queries
from pipeline.segmentation.classes import parse_classes
from pipeline.segmentation.drawing import label_png, overlay_jpeg
from pipeline.segmentation.job import SegmentConfig
from pipeline.segmentation.loading import load_segmenter

# Label maps are of the size of the image, so nothing is scaled down.
_ANY_SIZE = ImagesConfig(max_side=0, min_side=1)


def stem(image_uri: str) -> str:
    """The name of an image's outputs: its file name without the suffix."""
    return posixpath.splitext(posixpath.basename(image_uri.partition("::")[0]))[0]


class SegmentStage:
    """Row {images} → row {images, rejects, error, user_error}. Rejects are JSON, errors are empty if it succeeded."""

    def __init__(self, config: SegmentConfig, gpus: float):
        self._config = config
        self._classes = parse_classes(config.classes)
        self._segmenter = load_segmenter(config, self._classes, gpu=gpus > 0)

    def __call__(self, row: dict) -> dict:
        images, rejects, error, user_error = list(row["images"]), [], "", ""
        try:
            self._segment(images, rejects)
        except UserError as problem:
            user_error = str(problem)
        except Exception:
            error = traceback.format_exc()
        return {"images": len(images), "rejects": json.dumps(rejects), "error": error, "user_error": user_error}

    def _segment(self, images: list[str], rejects: list[dict]) -> None:
        waiting: deque[tuple[str, np.ndarray]] = deque()

        def reject(uri: str, error: Exception) -> None:
            problem = error
            if not isinstance(error, ImageProblem):
                problem = ImageProblem("failed", f"{type(error).__name__}: {error}")
            rejects.append({"image": uri, "reason": problem.reason, "detail": problem.detail})

        def read() -> Iterator[tuple[np.ndarray, str, str]]:
            with ThreadPoolExecutor(len(images)) as pool:
                files = [pool.submit(storage.read_bytes, uri) for uri in images]
                for uri, file in zip(images, files, strict=True):
                    try:
                        image = decode_jpeg(read_upright(file.result(), _ANY_SIZE).data)
                    except FileNotFoundError:
                        reject(uri, ImageProblem("missing_file", uri))
                    except ImageProblem as problem:
                        reject(uri, problem)
                    else:
                        yield image, stem(uri), uri

        def proposed() -> Iterator[tuple[np.ndarray, Proposals | Queries, float]]:
            for image, uri, found in self._segmenter.propose_each(read()):
                if isinstance(found, Exception):
                    reject(uri, found)
                else:
                    waiting.append((uri, image))
                    yield image, found, self._config.segmentation.mask_threshold

        for prediction in self._segmenter.classify(proposed()):
            uri, image = waiting.popleft()
            # Of proposals without classes nothing is fused.
            labels = prediction.label_map(self._config.segmentation.weight if self._segmenter.classifies else 1.0)
            overlay, label_map = (
                storage.join(self._config.output, file)
                for file in (f"overlays/{stem(uri)}.jpg", f"labels/{stem(uri)}.png")
            )
            storage.write_bytes(overlay, overlay_jpeg(image, labels, self._classes))
            # Last: the label map's presence says that the image is done.
            storage.write_bytes(label_map, label_png(labels, len(self._classes)))
