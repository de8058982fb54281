"""The mining job from configuration to finished dataset."""

import json
import logging
import math
import shlex
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import pyarrow as pa
import ray
from ray.data import DataContext, Dataset

from pipeline import storage
from pipeline.captions import CaptionSource, ImagesLookedFor, Listing, open_captions, stored_listing, write_listing
from pipeline.configuration import fingerprint
from pipeline.configuration.overwriting import prepare_output, remove_files
from pipeline.dataset.checked_tables import read_columns
from pipeline.dataset.layout import FOLDERS, OWN_ATTEMPTS, OWN_FILES, Layout
from pipeline.dataset.vocabulary import Phrase, Vocabulary, select_phrases, vocabulary_table
from pipeline.errors import IncompleteError, UserError, told_of
from pipeline.escaping.enumeration import first_of
from pipeline.execution.placement import watch_placement
from pipeline.execution.progress import Progress
from pipeline.mining.config import MineConfig, planned
from pipeline.mining.embedding import embed_vocabulary
from pipeline.mining.faults.failures import Failures
from pipeline.mining.faults.watchdog import write_seconds_per_image
from pipeline.mining.graph import Pool, Tasks, in_batches, map_on_actors, mining_graph, shards_dataset
from pipeline.mining.originals import check_originals
from pipeline.mining.plan import (
    check_among,
    check_models,
    measure_source,
    resolve,
)
from pipeline.mining.resources import check_resources, machines
from pipeline.mining.stages import (
    READ_CPUS,
    WRITE_CPUS,
    FindNounsStage,
    MatchStage,
    ProposeStage,
    Run,
    matching_clips,
    read_stage,
    write_stage,
)
from pipeline.mining.summary import summarize, write_dataset
from pipeline.mining.verifiers import check_verifiers
from pipeline.mining.verifying import Verifiers, check_same_verifiers, embed_for_verifiers, verify_shards
from pipeline.nouns import select_vocabulary
from pipeline.proposals import load_proposer
from pipeline.storage.documents import DamagedFileError, read_json

# A shard that failed is tried once more when all others are done; then the job ends with an error.
_PASSES = 2
# More failures than this, and more failures than successes: the cause is not a single shard.
_FAILURES_AT_ONCE = 8
_SHARDS_PER_MEDIAN = 64
# A worker that finds nouns takes several seconds of a core to start, and one for those of 2,000 captions or more.
_CAPTIONS_PER_FINDER = 20_000


class MiningError(IncompleteError):
    """The job ended with shards that are not committed, or with too many rejected images."""


def mine(config: MineConfig, *, overwrite: bool = False) -> dict:
    """Mine region–noun pairs on the Ray cluster that this process is connected to.

    Shards that are committed already are skipped, so running the same again after any failure carries on.

    Args:
        overwrite: delete the dataset that lies in the output directory first.

    Returns:
        the content of `dataset.json`.

    Raises:
        UserError: the configuration, the source or the output directory has to be changed.
        MiningError: shards failed twice, or more than `max_reject_fraction` of the images were rejected.
        IncompleteError: the cluster had no room for a worker for `resources.wait_minutes`.
        OSError: the output directory cannot be written to any more (the disk is full, the network is gone).
    """
    config = resolve(config)
    storage.check_writable(config.output, "output")
    layout = Layout(config.output)
    source = open_captions(config.captions)
    if overwrite or not storage.exists(layout.dataset):  # of a complete dataset the images may be gone
        source = ImagesLookedFor(source, config.captions)
    resources = check_resources(config, machines())
    # Before the models, which take their time: it finds out whether images and annotations belong together.
    proposer = load_proposer(config.proposals)
    listing = measure_source(config, source, proposer)
    models = check_models(config, proposer)
    check_among(config, proposer)
    del proposer  # the workers have their own
    verifiers = check_verifiers(config, models.described())
    prepare_output(layout.uri, "mine", OWN_FILES, overwrite=overwrite)
    description = fingerprint.describe(
        "mine", MineConfig, asdict(config), source=listing.described(), models=models.described()
    )
    fingerprint.write_or_check(layout.config, MineConfig, description)
    config = replace(config, resources=resources)
    run = Run(layout, uuid.uuid4().hex, resources.straggler_factor, resources.straggler_seconds)
    DataContext.get_current().enable_progress_bars = False  # ours counts images and regions
    watch_placement("resources.wait_minutes", resources.wait_minutes, "shards")
    check_same_verifiers(layout, verifiers)
    if (dataset := _finished(layout, listing)) is not None:
        _check_rejects(dataset["rejected"], listing.images, config, final=True)
        verify_shards(config, run, verifiers, {})
        return dataset
    for folder in ("", *FOLDERS):  # half-written files of a run that was killed
        storage.remove_leftovers(layout.path(folder))
    _write_listing(config, layout, source, listing)
    check_originals(layout)
    failures = Failures(layout)
    _find_nouns(config, layout, listing, failures)
    vocabularies = embed_for_verifiers(config, layout, verifiers)
    _mine_shards(config, run, listing, failures, Verifiers(verifiers, vocabularies))
    verify_shards(config, run, verifiers, vocabularies)  # those that were committed before they could be verified
    # The workers' records; also that of a shard whose driver was killed between its commit and its last word.
    remove_files(layout.uri, [OWN_ATTEMPTS])
    dataset = summarize(layout, listing)
    _check_rejects(dataset["rejected"], listing.images, config, final=True)
    write_dataset(layout, dataset)
    return dataset


def _write_listing(config: MineConfig, layout: Layout, source: CaptionSource, listing: Listing) -> None:
    """Have the listing in the output directory that workers read, and no other."""
    try:
        if stored_listing(layout.uri, config.shards.images_per_shard) == listing:
            return
        problem = "differs from the source"
    except FileNotFoundError:
        problem = ""  # the first run
    except (pa.ArrowException, ValueError) as error:
        problem = f"is damaged: {error}"
    if problem:
        logging.getLogger(__name__).warning("%s %s; it is written again", layout.path("listing"), problem)
    write_listing(source, layout.uri, config.shards.images_per_shard, config.limit)


def _finished(layout: Layout, listing: Listing) -> dict | None:
    """The content of `dataset.json`, if the dataset is complete."""
    if len(layout.committed()) < listing.shards:
        return None
    try:
        dataset = read_json(layout.dataset)
    except (FileNotFoundError, DamagedFileError):
        return None
    counts = [dataset.get(name) for name in ("images", "images_with_pairs", "pairs")]
    rejected = dataset.get("rejected")
    counts += rejected.values() if isinstance(rejected, dict) else [None]
    return dataset if all(type(count) is int for count in counts) else None


def _find_nouns(config: MineConfig, layout: Layout, listing: Listing, failures: Failures) -> None:
    """Captions tables of all shards, then the vocabulary with its embeddings."""
    if storage.exists(layout.vocabulary):
        missing = sorted(set(range(listing.shards)) - layout.present("captions"))
        for _ in _noun_counts(config, layout, listing, missing, failures):
            pass
        return
    images_per_noun: Counter[str] = Counter()
    images_per_phrase: Counter[Phrase] = Counter()
    for counts in _noun_counts(config, layout, listing, list(range(listing.shards)), failures):
        images_per_noun.update({noun: images for (noun, phrase), images in counts.items() if not phrase})
        if config.matching.text == "phrase":
            images_per_phrase.update({phrase: images for phrase, images in counts.items() if phrase[1]})
    nouns = select_vocabulary(images_per_noun)
    kept = select_vocabulary(images_per_noun, config.nouns.min_count, config.nouns.max_vocabulary)
    if not kept:
        raise UserError(
            f"captions.path: no nouns in the {listing.captions} captions of {config.captions.path}; "
            f"what was wrong with each is in {layout.path('captions')}"
        )
    resources = planned(config.resources)
    embeddings_ND = embed_vocabulary(config.clip, kept, resources)
    images = [images_per_noun[noun] for noun in nouns]
    phrases = select_phrases(images_per_phrase, kept)
    if phrases:
        phrases_PD = embed_vocabulary(config.clip, [phrase for _, phrase in phrases], resources)
        table = vocabulary_table(
            nouns, images, embeddings_ND, {key: images_per_phrase[key] for key in phrases}, phrases_PD
        )
    else:
        table = vocabulary_table(nouns, images, embeddings_ND)
    storage.write_table(table, layout.vocabulary)


def _noun_counts(
    config: MineConfig, layout: Layout, listing: Listing, shards: list[int], failures: Failures
) -> Iterator[dict[Phrase, int]]:
    """By shard, how many images each noun has (its phrase is empty), and each phrase."""
    if not shards:
        return
    captions_per_image = None if config.captions_per_image == "all" else config.captions_per_image
    cpus = int(ray.cluster_resources().get("CPU", 1))
    workers = min(cpus, math.ceil(listing.captions / _CAPTIONS_PER_FINDER))
    finders = Pool(FindNounsStage, (layout, captions_per_image, config.nouns), cpus=1, gpus=0, workers=max(1, workers))
    progress = Progress("nouns", len(shards), "shards")
    for row in in_batches(shards, lambda shards: map_on_actors(finders, shards_dataset(shards))):
        if row["error"]:
            failures.record(row["shard"], row["error"])
        progress.advance(1)
        yield dict(zip(zip(row["nouns"], row["phrases"], strict=True), row["images"], strict=True))
    progress.close()
    _raise_failures(failures.errors)


def _mine_shards(config: MineConfig, run: Run, listing: Listing, failures: Failures, verifiers: Verifiers) -> None:
    vocabulary = [ray.put(Vocabulary(read_columns(run.layout.vocabulary, ["noun", "phrase", "kept", "embedding"])))]
    rejected: Counter = Counter()
    finished: deque[dict] = deque(maxlen=_SHARDS_PER_MEDIAN)
    for _ in range(_PASSES):
        due = sorted(set(range(listing.shards)) - run.layout.committed())
        if not due:
            return
        failures.clear()
        done_images = min(listing.images, (listing.shards - len(due)) * config.shards.images_per_shard)
        progress = Progress("regions", listing.images, "images", initial=done_images)
        for row in in_batches(due, lambda shards: _pipeline(config, run, shards, vocabulary, verifiers)):
            if row["error"]:
                failures.record(row["shard"], row["error"])
                if len(failures.errors) > _FAILURES_AT_ONCE and len(failures.errors) > progress.shards:
                    _raise_failures(failures.errors)
                continue
            failures.forget(row["shard"])
            statistics = json.loads(row["statistics"])
            finished.append(statistics)
            rejected.update(statistics["rejected"])
            progress.shard(statistics, rejected.total())
            if progress.shards in (1, 4, 16) or progress.shards % _SHARDS_PER_MEDIAN == 0:
                write_seconds_per_image(run.layout, finished)
            _check_rejects(rejected, listing.images, config)
        progress.close()
    _raise_failures(failures.errors)


def _pipeline(
    config: MineConfig, run: Run, shards: Sequence[int], vocabulary: list[ray.ObjectRef], verifiers: Verifiers
) -> Dataset:
    resources = planned(config.resources)
    clips, regions = matching_clips(config), config.regions
    to_verify = verifiers.to_load(config.verify)
    matching = (run, clips, resources.clip_gpus, regions, config.matching, vocabulary, to_verify)
    beside = (config.keep_proposals, config.negatives, vocabulary, verifiers.about)
    return mining_graph(
        shards,
        read=Tasks(read_stage, (run, config.images, vocabulary), READ_CPUS),
        propose=Pool(
            ProposeStage,
            (run, config.proposals, config.matching),
            resources.proposal_cpus,
            resources.proposal_gpus,
            resources.proposal_workers,
        ),
        match=Pool(MatchStage, matching, resources.clip_cpus, resources.clip_gpus, resources.clip_workers),
        write=Tasks(write_stage, (run, config.matching, config.shards, *beside), WRITE_CPUS),
    )


def _raise_failures(failures: dict[int, str]) -> None:
    if failures:
        shard, error = min(failures.items())
        stage, _, trace = error.partition(": ")
        raise MiningError(
            f"{len(failures)} shards failed ({first_of(sorted(failures), 20)}); the others are kept, run the same "
            f"again to retry. Shard {shard}:\n{stage}: {told_of(trace)}"
        )


def _check_rejects(rejected: Counter | dict, images: int, config: MineConfig, *, final: bool = False) -> None:
    total = sum(rejected.values())
    if total > config.max_reject_fraction * images:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in Counter(rejected).most_common(5))
        raise MiningError(
            f"{total} of {images} images {'were' if final else 'are already'} rejected, more than "
            f"max_reject_fraction = {config.max_reject_fraction}: {reasons}. See {config.output}/rejects; "
            f"python -m jobs.inspect {shlex.quote(config.output)} shows an example of each"
        )
