"""The worker of an evaluation job: a chunk of images in, its tables out."""

import traceback

import ray

from pipeline import storage
from pipeline.errors import UserError
from pipeline.evaluation.bank_leakage import image_identities
from pipeline.evaluation.chunk import chunk_uri, evaluate_chunk, tables_of
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.cost import Stopwatch, write_statistics
from pipeline.segmentation.loading import load_segmenter


class EvaluateWorker:
    """Row {chunk, images, sha256} → {images, error, user_error}.

    The chunk's tables are written; errors are empty then.
    """

    def __init__(self, config: EvaluateConfig, dataset: list[ray.ObjectRef], gpus: float):
        """
        Args:
            dataset: one reference to the opened data set. (In a list, so that Ray leaves it a reference.)
        """
        self._output, self._true_boxes = config.output, config.true_boxes
        self._dataset = ray.get(dataset[0])
        self._segmenter = load_segmenter(config, self._dataset.classes, gpu=gpus > 0)

    def __call__(self, row: dict) -> dict:
        """Evaluate the images of a chunk and write its tables.

        Returns:
            how many images it was; of an exception the traceback as `error`, or the message of a UserError as
            `user_error`. Nothing is raised, so that one chunk does not end the job.
        """
        image_ids, chunk = list(row["images"]), int(row["chunk"])
        error = user_error = ""
        stopwatch = Stopwatch()
        try:
            identities = image_identities(self._dataset, image_ids, list(row["sha256"]))
            tables = evaluate_chunk(
                self._dataset, self._segmenter, image_ids, identities, stopwatch, true_boxes=self._true_boxes
            )
            write_statistics(self._output, chunk, len(image_ids), stopwatch, self._segmenter.device)
            for name in tables_of(self._dataset, self._true_boxes):
                storage.write_table(tables[name], chunk_uri(self._output, name, chunk))
        except UserError as problem:
            user_error = str(problem)
        except Exception:
            error = traceback.format_exc()
        return {"images": len(image_ids), "error": error, "user_error": user_error}
