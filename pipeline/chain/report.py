"""The last step of a chain: pages that show what its jobs made."""

import hashlib
import json

from pipeline import storage
from pipeline.chain.config import Jobs
from pipeline.chain.round_jobs import evaluation_of_round, jobs_of_round
from pipeline.chain.rounds import ROUNDS
from pipeline.report.overview import Work, result_uris, write_overview

_DONE = "report.json"


def report(jobs: Jobs, best: int, *, overwrite: bool = False) -> dict:
    """Write the pages, unless they are of these very results already.

    Args:
        best: the number of the chosen round; 0 without rounds.

    Returns:
        `page`, the URI of the page that leads to all others, and `results_sha256`, what it shows.

    Raises:
        UserError: a job is not complete.
        OSError: storage cannot be read or written.
    """
    # Untouched CLIPs first: they are what an adapted one is compared with.
    numbers = sorted(range(len(jobs.evaluations)), key=lambda number: jobs.evaluations[number].trained)
    mode, chosen = jobs.train.mode.replace("_", " "), jobs_of_round(jobs, best)
    trained = {mode: jobs.train.output}
    if best:
        trained = {f"{mode}, round 0": jobs.train.output, f"{mode}, round {best}": chosen.train.output}
    work = Work(
        title="Mined, adapted, evaluated",
        mined=chosen.mine.output,
        trained=trained,
        evaluated=[
            (jobs.evaluations[number].label, evaluation_of_round(jobs, number, best).output) for number in numbers
        ],
        rounds=storage.join(jobs.output, ROUNDS) if jobs.rounds.count else None,
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
