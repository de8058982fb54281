"""Tables of a training run."""

import pyarrow as pa

from schemas.fields import field, schema

# One row per log line of a training run, and one per validation.
METRICS = schema(
    "metrics",
    [
        field("stage", pa.string(), "pretrain, full or mask_prompt"),
        field("epoch", pa.float64(), "passes over the samples in this stage so far", unit="epochs"),
        field("step", pa.int64(), "steps in this stage so far", unit="steps"),
        field("loss", pa.float64(), "mean over the steps since the row before", null="a validation"),
        field("learning_rate", pa.float64(), "learning rate of the last step", null="a validation"),
        field("logit_scale", pa.float64(), "factor on the cosine similarities in the loss", null="a validation"),
        field("regions_per_second", pa.float64(), "over all workers", unit="1/s", null="a validation"),
        field("waiting_share", pa.float64(), "share of the time spent waiting for data", null="a validation"),
        field(
            "optimizer_bytes",
            pa.int64(),
            "what the optimiser keeps of the trained weights, on each worker",
            unit="bytes",
            null="a validation, or a run of an older version",
        ),
        field("accuracy_top1", pa.float64(), "share of held-out regions nearest to their noun", null="a log line"),
        field("accuracy_top5", pa.float64(), "share with their noun among the five nearest", null="a log line"),
    ],
)

# Of a training run: one table a validation, a row for each region, sorted by key.
NEAREST = schema(
    "nearest",
    [
        field("key", pa.string(), "key of the region's sample"),
        field("noun", pa.string(), "its noun"),
        field("nearest", pa.string(), "the noun whose embedding is most similar to that of the masked region"),
        field("rank", pa.int32(), "nouns that are more similar than its own"),
        field("similarity", pa.float32(), "cosine similarity of the masked region and its noun"),
        field("nearest_similarity", pa.float32(), "cosine similarity of the masked region and the nearest noun"),
    ],
)
