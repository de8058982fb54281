"""The last step of a chain: pages that show what its jobs made."""

import hashlib
import json

from pipeline import storage
from pipeline.chain.config import Jobs
from pipeline.report.overview import Work, result_uris, write_overview

_DONE = "report.json"


def report(jobs: Jobs, *, overwrite: bool = False) -> dict:
    """Write the pages, unless they are of these very results already.

    Returns:
        `page`, the URI of the page that leads to all others, and `results_sha256`, what it shows.

    Raises:
        UserError: a job is not complete.
        OSError: storage cannot be read or written.
    """
    # Untouched CLIPs first: they are what an adapted one is compared with.
    evaluations = sorted(jobs.evaluations, key=lambda evaluation: evaluation.trained)
    work = Work(
        title="Mined, adapted, evaluated",
        mined=jobs.mine.output,
        trained={jobs.train.mode.replace("_", " "): jobs.train.output},
        evaluated=[(evaluation.label, evaluation.config.output) for evaluation in evaluations],
    )
    digest = hashlib.sha256(b"".join(storage.read_bytes(uri) for uri in result_uris(work))).hexdigest()
    done = storage.join(jobs.report, _DONE)
    if not overwrite and storage.exists(done):
        written = json.loads(storage.read_bytes(done))
        if written["results_sha256"] == digest:
            return written
    written = {"page": write_overview(work, jobs.report), "results_sha256": digest}
    storage.write_bytes(done, json.dumps(written, indent=1).encode())
    return written
