"""The worker of a segmentation job: image files in, label maps, overlays and panoptic segmentations out."""

import errno
import hashlib
import json
import posixpath
import traceback
from collections.abc import Iterator
from contextlib import closing

import numpy as np

from pipeline import storage
from pipeline.errors import UserError
from pipeline.images import ImageProblem, ImagesConfig, costs_one_image, upright_pixels
from pipeline.proposals import Proposals
from pipeline.proposals.proposer import Queries
from pipeline.segmentation.classes import parse_classes
from pipeline.segmentation.drawing import label_png, overlay_jpeg
from pipeline.segmentation.job_config import SegmentJobConfig
from pipeline.segmentation.loading import load_segmenter
from pipeline.segmentation.objects import class_probabilities, panoptic_segments
from pipeline.segmentation.panoptic import ids_png, info_of_segments, panoptic_png, segments_info
from pipeline.segmentation.prediction import Prediction
from pipeline.segmentation.segmenter import ImageIdentity
from pipeline.storage.in_threads import each_in_threads


class SegmentWorker:
    """Row {images, names} → row {images, rejects, error, user_error}.

    Rejects are JSON, errors are empty if it succeeded.
    """

    def __init__(self, config: SegmentJobConfig, gpus: float):
        self._config = config
        self._classes = parse_classes(config.classes)
        names = [names[0] for names in self._classes]
        self._things = None if config.things is None else frozenset(map(names.index, config.things))
        self._segmenter = load_segmenter(config, self._classes, gpu=gpus > 0)

    def __call__(self, row: dict) -> dict:
        """Segment a group of images and write the files of each.

        Returns:
            how many images it was; the rejects as a JSON list of {image, reason, detail}; of an exception the traceback
            as `error`, or the message of a UserError as `user_error`. Nothing is raised.
        """
        images, error, user_error = list(row["images"]), "", ""
        rejects: list[dict] = []
        try:
            self._segment(images, dict(zip(images, row["names"], strict=True)), rejects)
        except UserError as problem:
            user_error = str(problem)
        except Exception:
            error = traceback.format_exc()
        return {"images": len(images), "rejects": json.dumps(rejects), "error": error, "user_error": user_error}

    def _segment(self, images: list[str], names: dict[str, str], rejects: list[dict]) -> None:
        def reject(uri: str, error: Exception) -> None:
            if isinstance(error, ImageProblem):
                problem = error
            else:
                problem = ImageProblem("failed", f"{type(error).__name__}: {error}")
            rejects.append({"image": uri, "reason": problem.reason, "detail": problem.detail})

        digests: dict[str, str] = {}

        def read() -> Iterator[tuple[np.ndarray, str, str]]:
            def fetch(uri: str) -> bytes:
                return storage.read_at_most(uri, ImagesConfig.max_bytes)

            with closing(each_in_threads(fetch, images, len(images), len(images))) as each:
                for uri, file in each:
                    try:
                        data = file.result()
                        digests[uri] = hashlib.sha256(data).hexdigest()
                        image = upright_pixels(data).pixels
                    except FileNotFoundError:
                        reject(uri, ImageProblem("missing_file", uri))
                    except storage.TooManyBytes as problem:
                        reject(uri, ImageProblem("too_many_bytes", str(problem)))
                    except Exception as error:
                        # Of many hosts one may refuse; storage that fails says nothing about the image.
                        refused = isinstance(error, OSError) and uri.startswith(("http://", "https://"))
                        if not refused and not costs_one_image(error):
                            raise
                        reject(uri, ImageProblem("unreachable", str(error)) if refused else error)
                    else:
                        yield image, posixpath.basename(names[uri]), uri

        def proposed() -> Iterator[tuple[np.ndarray, Proposals | Queries, float, tuple[str, np.ndarray]]]:
            for uri, image, found in self._segmenter.propose_each(read()):
                if isinstance(found, Exception):
                    reject(uri, found)
                else:
                    yield image, found, self._config.segmentation.mask_threshold, (uri, image)

        def image_of(companion: tuple[str, np.ndarray]) -> ImageIdentity:
            uri, _ = companion
            return digests[uri], uri

        for (uri, image), prediction in self._segmenter.classify(proposed(), image_of):
            try:
                self._write(names[uri], image, prediction)
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                reject(uri, ImageProblem("name_too_long", f"{error.strerror}: {error.filename}"))

    def _write(self, name: str, image: np.ndarray, prediction: Prediction) -> None:
        # Of proposals without classes nothing is fused.
        weight = self._config.segmentation.weight if self._segmenter.classifies else 1.0
        labels = prediction.label_map(weight)
        if self._things is None:
            panoptic, info = panoptic_png(labels), segments_info(labels, prediction, weight)
        else:
            probabilities_QC = class_probabilities(prediction, weight)
            found = panoptic_segments(prediction, probabilities_QC, self._things, self._config.segmentation)
            panoptic, info = ids_png(found.ids), info_of_segments(found)
        segments = {"height": prediction.masks.height, "width": prediction.masks.width, "segments_info": info}
        for file, data in (
            (f"overlays/{name}.jpg", overlay_jpeg(image, labels, self._classes)),
            (f"panoptic/{name}.png", panoptic),
            (f"segments/{name}.json", json.dumps(segments).encode()),
            # Last: the label map's presence says that the image is done.
            (f"labels/{name}.png", label_png(labels, len(self._classes))),
        ):
            storage.write_bytes(storage.join(self._config.output, file), data)
