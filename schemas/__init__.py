"""The pyarrow schema of every table that jobs write, by the job.

Every field carries its description and, where it has one, its unit, in the field's metadata; `VERSION` is in
the schema's metadata and changes with any change of a field's name, type or meaning.
"""

import json
from importlib.resources import files

from schemas.beside import DUPLICATES, HASHES, LEAKAGE, QUALITY, VERIFIED, VERIFIER_COLUMNS, verified_schema
from schemas.differences import CLASS_CHANGES, DIFFERENCES, NEAREST_PAIRS, NOUN_DIFFERENCES
from schemas.evaluation import (
    CLASS_PIXELS,
    CLASS_SCORES,
    CONFUSION,
    DETECTIONS,
    EVALUATED_IMAGES,
    LABEL_MAPS,
    OBJECT_SCORES,
    PANOPTIC_COUNTS,
    TRUE_OBJECTS,
    TRUE_REGIONS,
)
from schemas.fields import VERSION
from schemas.mined import CANDIDATES, CAPTIONS, LISTING, MANIFEST, PROPOSALS, REJECTS, VOCABULARY, with_kept
from schemas.retention import CLASS_ACCURACIES, CLASSIFIED_IMAGES, RETENTION, RETRIEVAL_CAPTIONS, RETRIEVAL_IMAGES
from schemas.training import METRICS, NEAREST

__all__ = [
    "CANDIDATES",
    "CAPTIONS",
    "CLASSIFIED_IMAGES",
    "CLASS_ACCURACIES",
    "CLASS_CHANGES",
    "CLASS_PIXELS",
    "CLASS_SCORES",
    "CONFUSION",
    "DETECTIONS",
    "DIFFERENCES",
    "DUPLICATES",
    "EVALUATED_IMAGES",
    "HASHES",
    "LABEL_MAPS",
    "LEAKAGE",
    "LISTING",
    "MANIFEST",
    "METRICS",
    "NEAREST",
    "NEAREST_PAIRS",
    "NOUN_DIFFERENCES",
    "OBJECT_SCORES",
    "PANOPTIC_COUNTS",
    "PROPOSALS",
    "QUALITY",
    "REJECTS",
    "RETENTION",
    "RETRIEVAL_CAPTIONS",
    "RETRIEVAL_IMAGES",
    "TRUE_OBJECTS",
    "TRUE_REGIONS",
    "VERIFIED",
    "VERIFIER_COLUMNS",
    "VERSION",
    "VOCABULARY",
    "sample_schema",
    "verified_schema",
    "with_kept",
]


def sample_schema() -> dict:
    """The JSON schema of a sample's `KEY.json`."""
    return json.loads(files(__package__).joinpath("sample.schema.json").read_text())
