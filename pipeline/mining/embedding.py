"""Text embeddings of a vocabulary, by workers on Ray."""

import math

import numpy as np
import ray

from pipeline.clip.config import ClipConfig
from pipeline.execution.progress import Progress
from pipeline.mining.config import PlannedResources
from pipeline.mining.graph import Pool, map_on_actors
from pipeline.mining.stages import EmbedTextStage

# Nouns that a worker embeds and then reports. A GPU takes a second for as many; a core, a second for four.
_NOUNS_PER_CHUNK_ON_GPU, _NOUNS_PER_CHUNK = 256, 8
_CHUNKS_AT_MOST = 4_000


def embed_vocabulary(
    clip: ClipConfig, nouns: list[str], resources: PlannedResources, name: str = "vocabulary"
) -> np.ndarray:
    """Embeddings float32 [N,D] of nouns, computed once, in chunks of fixed composition.

    Args:
        name: what the line that tells of the progress is called.
    """
    per_chunk = _NOUNS_PER_CHUNK_ON_GPU if resources.clip_gpus else _NOUNS_PER_CHUNK
    per_chunk = max(per_chunk, math.ceil(len(nouns) / _CHUNKS_AT_MOST))
    chunks = [nouns[start : start + per_chunk] for start in range(0, len(nouns), per_chunk)]
    items = [{"chunk": number, "nouns": chunk} for number, chunk in enumerate(chunks)]
    arguments = (clip, resources.clip_gpus)
    embedders = Pool(EmbedTextStage, arguments, resources.clip_cpus, resources.clip_gpus, resources.clip_workers)
    progress = Progress(name, len(nouns), "nouns")
    found = {}
    for row in map_on_actors(embedders, ray.data.from_items(items, override_num_blocks=len(items))).iter_rows():
        found[row["chunk"]] = np.asarray(row["embeddings"], dtype=np.float32).reshape(len(chunks[row["chunk"]]), -1)
        progress.advance(len(chunks[row["chunk"]]))
    progress.close()
    return np.concatenate([found[number] for number in range(len(chunks))])
