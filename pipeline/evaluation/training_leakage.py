"""Images of an evaluation that the evaluated CLIP may have learnt from: copies of them are among the mined images."""

import sys
from dataclasses import asdict

from pipeline.duplicates.known_leaks import evaluated_leaks, known_leaks
from pipeline.errors import UserError
from pipeline.evaluation.datasets.contents import Digests
from pipeline.storage.model_addresses import LOCAL_DIR


def training_leakage(architecture: str | None, digests: Digests) -> dict[str, dict[str, int]] | None:
    """What `result.json` says of leaks; also printed. None where nothing is known.

    It is known where the CLIP lies in the training run that made it, and the run's dataset had been compared with the
    evaluated images by `jobs.inspect leakage` before.

    Args:
        architecture: of the CLIP: `local-dir:RUN/model`.
        digests: of the files of the evaluated images.

    Returns:
        by name of the comparison: `checked` evaluated images, and `copies` among them.

    Raises:
        OSError: storage cannot be read.
    """
    run, _, last = (architecture or "").rstrip("/").removeprefix(LOCAL_DIR).rpartition("/")
    if not (architecture or "").startswith(LOCAL_DIR) or last != "model":
        return None
    try:
        leaks = known_leaks(run)
    except UserError as error:
        print(f"warning: what is known of leaks cannot be read: {error}", file=sys.stderr)
        return None
    found = evaluated_leaks(leaks, [image for image, *_ in digests.values()])
    for leak in found:
        if leak.copies:
            print(f"warning: {leak}", file=sys.stderr)
    return {leak.name: {name: asdict(leak)[name] for name in ("checked", "copies")} for leak in found} or None
