"""Second opinions on committed shards, without proposing or matching again: `python -m jobs.mine --verify-only`, and
what a mining job that was interrupted owes."""

import json
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.data import DataContext, Dataset

import schemas
from pipeline import storage
from pipeline.configuration import fingerprint
from pipeline.configuration.overwriting import check_no_links, remove_files
from pipeline.dataset.checked_tables import read_columns
from pipeline.dataset.layout import OWN_ATTEMPTS, Layout
from pipeline.dataset.opening import open_mined_dataset
from pipeline.dataset.vocabulary import Vocabulary
from pipeline.errors import IncompleteError, UserError, told_of
from pipeline.escaping.enumeration import first_of
from pipeline.execution.placement import watch_placement
from pipeline.execution.progress import Progress
from pipeline.mining.config import MineConfig, VerifierConfig, planned
from pipeline.mining.embedding import embed_vocabulary
from pipeline.mining.graph import Pool, Tasks, in_batches, reading_graph
from pipeline.mining.plan import resolve
from pipeline.mining.resources import check_resources, machines
from pipeline.mining.stages import READ_CPUS, Run, ToVerify, VerifyStage, read_candidates_stage
from pipeline.mining.verifiers import check_verifiers, unverified
from pipeline.storage.in_threads import in_threads

# A shard that failed is tried once more when all others are done.
_PASSES = 2


class Verifiers(NamedTuple):
    """The verifiers of a job, as it hands them on to its workers."""

    about: Mapping[str, dict]
    """By name which CLIPs they are."""
    vocabularies: Mapping[str, ray.ObjectRef]
    """By name the dataset's nouns as they embed them."""

    def to_load(self, configured: Sequence[VerifierConfig]) -> list[ToVerify]:
        """Those that workers load; the references are in lists, so that Ray leaves them references."""
        return [(verifier, [self.vocabularies[verifier.name]]) for verifier in configured]


@dataclass
class Verification:
    """What was done."""

    verifiers: list[str]
    shards: int = 0
    """That had no opinion of one of them; the others were verified before."""
    candidates: int = 0
    """In these."""
    problems: Counter[str] = field(default_factory=Counter)
    """Images of these that could not be looked at again, by reason: their rows are null."""

    def described(self) -> list[str]:
        """For the terminal."""
        names = ", ".join(self.verifiers)
        lines = [f"verified by {names}: {self.candidates} candidates of {self.shards} shards, the others before"]
        for reason, images in self.problems.most_common():
            lines.append(f"{images} images could not be looked at again, so their opinions are null: {reason}")
        return lines


def verify_only(config: MineConfig) -> Verification:
    """Have the candidates of all committed shards verified, on the Ray cluster that this process is connected to.

    Images are read again from their source. Shards that are verified already are skipped.

    Raises:
        UserError: there is no such dataset, it was mined with another configuration, or a verifier cannot be used.
        IncompleteError: shards failed twice, or the cluster had no room for a worker.
        OSError: storage failed.
    """
    config = resolve(config)
    if not config.verify:
        raise UserError("--verify-only: `verify` names no CLIP; name one there, with an architecture and weights")
    dataset = open_mined_dataset(config.output)
    storage.check_writable(config.output, "output")
    dataset.check_begun()
    fingerprint.check_configuration(dataset.description, dataset.layout.config, MineConfig, asdict(config))
    verifiers = check_verifiers(config, dataset.description["models"])
    # Nobody proposes: a GPU is CLIP's alone.
    resources = check_resources(replace(config, resources=replace(config.resources, proposal_gpus=0.0)), machines())
    config = replace(config, resources=resources)
    run = Run(dataset.layout, uuid.uuid4().hex, resources.straggler_factor, resources.straggler_seconds)
    DataContext.get_current().enable_progress_bars = False
    watch_placement("resources.wait_minutes", resources.wait_minutes, "shards")
    return verify_shards(config, run, verifiers, {})


def verify_shards(
    config: MineConfig, run: Run, verifiers: Mapping[str, dict], vocabularies: Mapping[str, ray.ObjectRef]
) -> Verification:
    """Verify the committed shards that lack the opinion of a verifier.

    Args:
        verifiers: by name which CLIPs they are.
        vocabularies: by name the dataset's nouns as they embed them; those that are missing are made.

    Raises:
        UserError, IncompleteError, OSError: as of `verify_only`.
    """
    found = Verification(list(verifiers))
    if not (due := _due(run.layout, verifiers)):
        return found
    check_no_links(run.layout.uri, ["verified"])
    storage.remove_leftovers(run.layout.path("verified"))
    missing = verifiers.keys() - vocabularies.keys()
    loaded = Verifiers(verifiers, {**vocabularies, **embed_for_verifiers(config, run.layout, missing)})
    failed: dict[int, str] = {}
    for _ in range(_PASSES):
        failed.clear()
        progress = Progress("second opinions", len(due), "shards")
        for row in in_batches(due, lambda shards: _pipeline(config, run, shards, loaded)):
            progress.advance(1)
            if row["error"]:
                failed[row["shard"]] = row["error"]
                continue
            found.shards += 1
            found.candidates += row["candidates"]
            found.problems.update(json.loads(row["problems"]))
        progress.close()
        if not (due := _due(run.layout, verifiers)):
            break
    remove_files(run.layout.uri, [OWN_ATTEMPTS])
    if failed:
        shard, error = min(failed.items())
        stage, _, trace = error.partition(": ")
        raise IncompleteError(
            f"{len(failed)} shards could not be verified ({first_of(sorted(failed), 20)}); run the same again to "
            f"retry. Shard {shard}:\n{stage}: {told_of(trace)}"
        )
    return found


def embed_for_verifiers(config: MineConfig, layout: Layout, names: Collection[str]) -> dict[str, ray.ObjectRef]:
    """By name, of these verifiers, the dataset's nouns, and phrases if they are matched, as they embed them."""
    wanted = [verifier for verifier in config.verify if verifier.name in names]
    if not wanted:
        return {}
    table = read_columns(layout.vocabulary, ["noun", "phrase", "kept"])
    kept = table.filter(table["kept"])
    texts = pc.coalesce(kept["phrase"], kept["noun"]).to_pylist()
    field = schemas.VOCABULARY.field("embedding")
    found = {}
    for verifier in wanted:
        embeddings_ND = embed_vocabulary(verifier, texts, planned(config.resources), f"vocabulary for {verifier.name}")
        found[verifier.name] = ray.put(Vocabulary(kept.append_column(field, pa.array(list(embeddings_ND), field.type))))
    return found


def check_same_verifiers(layout: Layout, verifiers: Mapping[str, dict]) -> None:
    """Check that no committed shard has the opinion of another CLIP that had the name of one of these.

    Raises:
        UserError: one has.
        OSError: storage cannot be read.
    """
    _due(layout, verifiers)


def _due(layout: Layout, verifiers: Mapping[str, dict]) -> list[int]:
    shards = sorted(layout.committed()) if verifiers else []
    lacking = in_threads(lambda shard: unverified(layout, shard, verifiers), shards)
    return [shard for shard, names in zip(shards, lacking, strict=True) if names]


def _pipeline(config: MineConfig, run: Run, shards: Sequence[int], verifiers: Verifiers) -> Dataset:
    resources = planned(config.resources)
    to_load = verifiers.to_load(config.verify)
    arguments = (run, to_load, resources.clip_gpus, config.regions, config.matching, verifiers.about)
    return reading_graph(
        shards,
        read=Tasks(read_candidates_stage, (run, config.images), READ_CPUS),
        work=Pool(VerifyStage, arguments, resources.clip_cpus, resources.clip_gpus, resources.clip_workers),
    )
