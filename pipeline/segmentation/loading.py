"""Loading the models that segmentation and evaluation jobs have in common."""

from collections.abc import Sequence

import torch

from pipeline.bank.classifier import BankClassifier, check_bank
from pipeline.bank.reading import open_bank
from pipeline.clip.loading import load_clip
from pipeline.clip.model import Clip
from pipeline.clip.templates import check_fit
from pipeline.proposals import Proposer, load_proposer
from pipeline.segmentation.job_config import ModelsConfig
from pipeline.segmentation.segmenter import Segmenter, background_classes


def load_models(config: ModelsConfig, *, gpu: bool) -> tuple[Clip, Proposer]:
    """Load both models into this process; this thread uses `clip.threads` threads from then on.

    Raises:
        UserError: a model cannot be loaded.
    """
    clip = config.clip
    torch.set_num_threads(clip.threads)
    loaded = load_clip(
        clip.architecture,
        clip.weights,
        precision=clip.precision,
        device="cuda" if gpu else "cpu",
        compiled_batch=clip.compiled_batch,
    )
    return loaded, load_proposer(config.proposals)


def load_segmenter(config: ModelsConfig, classes: Sequence[tuple[str, ...]], *, gpu: bool) -> Segmenter:
    """Load both models into this process, which from then on uses `clip.threads` threads.

    Raises:
        UserError: a model cannot be loaded, or the configuration has no meaning.
    """
    clip, proposer = load_models(config, gpu=gpu)
    return Segmenter(
        clip,
        proposer,
        classes,
        config.segmentation,
        config.regions,
        config.clip.batch_size,
        bank=load_bank(config, clip),
    )


def load_bank(config: ModelsConfig, clip: Clip) -> BankClassifier | None:
    """The bank that the configuration names, mapped into memory; None if it names none.

    Raises:
        UserError: it cannot be used, or not with this CLIP; see `open_bank` and `check_bank`.
    """
    settings = config.segmentation.bank
    if settings.path is None:
        return None
    bank = open_bank(settings.path)
    check_bank(bank.description, clip, config.regions)
    return BankClassifier(bank, settings)


def check_models(config: ModelsConfig, classes: Sequence[tuple[str, ...]]) -> dict:
    """Load both models once in this process, so that what is absent is said now, and read all of the bank.

    Returns:
        their identities, for `config.yaml`.

    Raises:
        UserError: as `load_segmenter`.
    """
    proposer = load_proposer(config.proposals)
    background_classes(classes, config.segmentation, proposer)
    clip = load_clip(config.clip.architecture, config.clip.weights)
    check_fit(clip.tokenizer, config.segmentation.templates, "segmentation.templates")
    models = {"proposals": dict(proposer.identity), "clip": {"sha256": clip.weights_sha256()}}
    if config.segmentation.bank.path is not None:
        bank = open_bank(config.segmentation.bank.path, check=True)
        check_bank(bank.description, clip, config.regions)
        models["bank"] = {"sha256": bank.description.sha256}
    return models
