"""Paths in configurations: made absolute, since workers may run in another directory, and kept free of secrets."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from pipeline import storage
from pipeline.errors import UserError
from pipeline.proposals import ProposalsConfig

_LOCAL_DIR = "local-dir:"


def absolute_output(output: str) -> str:
    """The output directory, absolute.

    Raises:
        UserError: it is relative to the temporary directory of a submitted job, where it would be lost.
    """
    if not storage.is_absolute(output) and "working_dir_files" in Path.cwd().parts:
        raise UserError(
            f"output: {output!r} is relative to the temporary working directory of the submitted job; "
            "give a URI or an absolute path that all nodes share"
        )
    return storage.absolute(output)


def absolute_model(architecture: str | None, weights: str | None) -> tuple[str | None, str | None]:
    """Architecture and weights of a CLIP, with the local paths among them absolute."""
    if architecture and architecture.startswith(_LOCAL_DIR):
        architecture = _LOCAL_DIR + storage.absolute(architecture.removeprefix(_LOCAL_DIR))
    if weights and Path(weights).is_file():
        weights = storage.absolute(weights)
    return architecture, weights


def absolute_proposals(config: ProposalsConfig) -> ProposalsConfig:
    """The configuration of proposals with its local paths absolute."""
    truth = config.ground_truth
    annotations, panoptic = (uri and storage.absolute(uri) for uri in (truth.annotations, truth.panoptic_images))
    return replace(config, ground_truth=replace(truth, annotations=annotations, panoptic_images=panoptic))


def refuse_secrets(key: str, uri: str | None) -> None:
    """Raises:
    UserError: naming the key of a URI that contains a password or a signature.
    """
    if uri is None:
        return
    for part in uri.split("::"):
        split = urlsplit(part)
        if split.password or "X-Amz-Signature" in split.query:
            raise UserError(
                f"{key} contains a secret, which would end up in config.yaml and logs; "
                "give credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE)"
            )
