"""Verifiers before any worker starts: are their names columns of their own, and do they see else than `clip` does?"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import schemas
from pipeline.clip import load_clip
from pipeline.clip.templates import check_fit, templates_of
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_whole_manifest
from pipeline.dataset.verified import read_verified
from pipeline.errors import UserError
from pipeline.mining.config import MineConfig, VerifierConfig

_NAME = re.compile("[a-z][a-z0-9_]{0,39}")
_P_RIGHT = "p_right"  # of the tables of quality
_SHAPING = ("sha256", "templates", "precision", "compile", "regions")
"""What of a verifier decides its opinion."""


def check_names(verifiers: Sequence[VerifierConfig]) -> None:
    """Check that every verifier has columns of its own.

    Raises:
        UserError: naming the key.
    """
    columns = {**dict.fromkeys((*schemas.MANIFEST.names, *schemas.VERIFIED.names, _P_RIGHT), "the dataset")}
    names: set[str] = set()
    for index, verifier in enumerate(verifiers):
        key, name = f"verify[{index}].name", verifier.name
        if not _NAME.fullmatch(name):
            raise UserError(
                f"{key} is {name[:80]!r}; columns are called after it, so it has to be an identifier: up to 40 small "
                "letters, digits and _, a letter first, such as so400m"
            )
        if name in names:
            raise UserError(f"{key}: {name} is the name of two verifiers; give each its own")
        names.add(name)
        for part in schemas.VERIFIER_COLUMNS:
            if f"{name}_{part}" in columns:
                raise UserError(f"{key}: {name} would have the column {name}_{part}, which the dataset has; rename it")


def check_verifiers(config: MineConfig, models: Mapping) -> dict[str, dict]:
    """By name which CLIPs the verifiers are, one in memory at a time.

    Args:
        models: as `config.yaml` has them, with the SHA-256 of `clip`, and of `cross_fit` if there are such.

    Raises:
        UserError: one cannot be loaded, or is the model whose candidates it would verify, and is shown the same.
    """
    found = {}
    matching = {models.get("clip", {}).get("sha256"): "clip"}
    matching |= {clip.get("sha256"): f"cross_fit[{fold}]" for fold, clip in enumerate(models.get("cross_fit", []))}
    for index, verifier in enumerate(config.verify):
        key = f"verify[{index}]"
        try:
            clip = load_clip(verifier.architecture, verifier.weights)
            check_fit(clip.tokenizer, verifier.templates, "templates")
        except UserError as error:
            raise UserError(f"{key} ({verifier.name}): {error}") from error
        sha256 = clip.weights_sha256()
        regions = verifier.regions or config.regions
        if sha256 in matching and regions == config.regions:
            raise UserError(
                f"{key}: {verifier.name} is the same model as {matching[sha256]} (its weights have the SHA-256 "
                f"{sha256[:16]}…), which chose the candidates: that is no second opinion; name another CLIP, or "
                f"show it regions in another way by {key}.regions"
            )
        found[verifier.name] = {
            "architecture": verifier.architecture,
            "weights": verifier.weights,
            "sha256": sha256,
            "image_size": clip.input.size,
            "templates": templates_of(verifier.templates, f"{key}.templates"),
            "precision": verifier.precision,
            "compile": verifier.compile,
            "regions": asdict(regions),
        }
    return found


def unverified(layout: Layout, shard: int, verifiers: Mapping[str, dict]) -> list[str]:
    """The verifiers whose opinion a committed shard lacks.

    Raises:
        UserError: it has that of another CLIP of the same name.
        OSError: storage cannot be read.
    """
    manifest = read_whole_manifest(layout, shard, ["key"])
    try:
        known = read_verified(layout, manifest).verifiers
    except UserError:  # none, damaged, or of another manifest: it is written anew
        return list(verifiers)
    for index, (name, about) in enumerate(verifiers.items()):
        different = [key for key in _SHAPING if name in known and known[name].get(key) != about[key]]
        if different:
            raise UserError(
                f"verify[{index}].name: {layout.table('verified', shard)} holds the opinion of another {name}, which "
                f"differs in {', '.join(different)}; choose another name, or delete {layout.path('verified')}"
            )
    return [name for name in verifiers if name not in known]
