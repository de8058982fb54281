"""The worker of a job that measures whole images: a chunk of them in, its tables out."""

import functools
import traceback

import ray
import torch

from pipeline import storage
from pipeline.clip import EmbeddingCache, load_clip
from pipeline.errors import UserError
from pipeline.retention.chunk import TABLES, chunk_uri, measure_chunk
from pipeline.retention.classification import embed_classes
from pipeline.retention.config import ImagesJobConfig


class ImagesWorker:
    """Row {chunk, images} → {images, error, user_error}.

    The chunk's tables are written; errors are empty then.
    """

    def __init__(self, config: ImagesJobConfig, images: list[ray.ObjectRef], gpus: float):
        """
        Args:
            images: one reference to the opened set. (In a list, so that Ray leaves it a reference.)
        """
        self._config = config
        self._images = ray.get(images[0])
        clip = config.clip
        torch.set_num_threads(clip.threads)
        device = "cuda" if gpus > 0 else "cpu"
        self._clip = load_clip(clip.architecture, clip.weights, precision=clip.precision, device=device)

    @functools.cached_property
    def _classes(self) -> torch.Tensor:
        return embed_classes(self._clip, self._images, EmbeddingCache.of(self._clip))

    def __call__(self, row: dict) -> dict:
        """Measure the images of a chunk and write its tables.

        Returns:
            how many images it was; of an exception the traceback as `error`, or the message of a UserError as
            `user_error`. Nothing is raised, so that one chunk does not end the job.
        """
        indices, chunk = [int(index) for index in row["images"]], int(row["chunk"])
        error = user_error = ""
        try:
            tables = measure_chunk(
                self._clip,
                self._images,
                indices,
                lambda: self._classes,
                batch_size=self._config.clip.batch_size,
                readers=self._config.readers,
            )
            for name in TABLES[self._images.task]:
                storage.write_table(tables[name], chunk_uri(self._config.output, name, chunk))
        except UserError as problem:
            user_error = str(problem)
        except Exception:
            error = traceback.format_exc()
        return {"images": len(indices), "error": error, "user_error": user_error}
