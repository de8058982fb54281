"""The configuration of the whole chain: every section is that of its job, less what follows from the chain."""

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline import storage
from pipeline.chain.rounds_config import RoundsConfig, resolve_rounds
from pipeline.clip.config import ClipConfig
from pipeline.configuration.paths import absolute_output, refuse_secrets
from pipeline.errors import UserError
from pipeline.evaluation.config import EvaluateConfig
from pipeline.mining.config import MineConfig
from pipeline.training.config import TrainConfig

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TRAINED = "trained"

_Config = TypeVar("_Config", bound="DataclassInstance")


@dataclass
class MineSection(MineConfig):
    """Mining, with the keys of `python -m jobs.mine`."""

    output: str = ""
    """Output directory. Left out: `mined` in the directory of the chain."""


@dataclass
class TrainSection(TrainConfig):
    """Training, with the keys of `python -m jobs.train`."""

    dataset: str = ""
    """Filled in: what this chain mines."""
    output: str = ""
    """Directory of this run. Left out: `adapted` in the directory of the chain."""


@dataclass
class EvaluatedClip(ClipConfig):
    """The CLIP that is evaluated."""

    architecture: str | None = TRAINED
    """`trained`: the CLIP that this chain adapts. Another one, to compare with: as in `python -m jobs.evaluate`."""
    weights: str | None = None
    """Weights of another CLIP than the trained one."""


@dataclass(kw_only=True)
class EvaluateSection(EvaluateConfig):
    """An evaluation, with the keys of `python -m jobs.evaluate`."""

    output: str = ""
    """Output directory. Left out: `evaluated/KIND`, after the kind of the data set, in the directory of the
    chain."""
    clip: EvaluatedClip = field(default_factory=EvaluatedClip)


@dataclass
class ChainConfig:
    """Everything that `python -m jobs.run` can be told."""

    output: str
    """Directory of the whole chain, any fsspec URI: ./run, s3://bucket/prefix."""
    mine: MineSection
    train: TrainSection = field(default_factory=TrainSection)
    evaluate: list[EvaluateSection] = field(default_factory=list)
    """Evaluations, one after the other, each with the keys of `python -m jobs.evaluate`; none is fine."""
    rounds: RoundsConfig = field(default_factory=RoundsConfig)


@dataclass(frozen=True)
class ChainEvaluation:
    """One evaluation of a chain."""

    config: EvaluateConfig
    trained: bool
    """Whether it is of the CLIP that the chain adapts."""

    @property
    def label(self) -> str:
        """Names the CLIP in a table."""
        clip = self.config.clip
        return "adapted CLIP" if self.trained else ", ".join(filter(None, (clip.architecture, clip.weights)))


@dataclass(frozen=True)
class Jobs:
    """The configurations of the jobs of a chain, complete."""

    mine: MineConfig
    train: TrainConfig
    evaluations: list[ChainEvaluation]
    report: str
    """Folder of the pages that show what they made."""
    output: str
    """Directory of the chain."""
    rounds: RoundsConfig
    """Checked, with nothing empty that has a default."""


def resolve(config: ChainConfig) -> Jobs:
    """Fill in what follows from the chain.

    Raises:
        UserError: a value contradicts the chain, an output cannot be used, or two jobs would write to the same one.
    """
    refuse_secrets("output", config.output)
    output = absolute_output(config.output)
    mined = absolute_output(config.mine.output or storage.join(output, "mined"))
    adapted = absolute_output(config.train.output or storage.join(output, "adapted"))
    if config.train.dataset and storage.absolute(config.train.dataset) != mined:
        raise UserError(
            f"train.dataset: {config.train.dataset} is not what this chain mines ({mined}): leave it out, or run "
            "jobs.train by itself"
        )
    evaluations = []
    for number, section in enumerate(config.evaluate):
        clip, trained = _plain(ClipConfig, section.clip), section.clip.architecture == TRAINED
        if trained:
            if clip.weights is not None:
                raise UserError(f"evaluate[{number}].clip.weights: the trained CLIP brings its own; leave it out")
            clip.architecture = f"local-dir:{storage.join(adapted, 'model')}"
        folder = section.output or storage.join(output, "evaluated", section.dataset.kind)
        evaluation = _plain(EvaluateConfig, section, output=absolute_output(folder), clip=clip)
        evaluations.append(ChainEvaluation(evaluation, trained))
    report = storage.join(output, "report")
    outputs = [mined, adapted, *(evaluation.config.output for evaluation in evaluations), report]
    for uri in outputs:
        if outputs.count(uri) > 1:
            raise UserError(f"output: two jobs of this chain would write to {uri}; give one an output of its own")
    return Jobs(
        _plain(MineConfig, config.mine, output=mined),
        _plain(TrainConfig, config.train, dataset=mined, output=adapted),
        evaluations,
        report,
        output,
        resolve_rounds(config.rounds, config.train, [evaluation.trained for evaluation in evaluations]),
    )


def _plain(kind: type[_Config], section: _Config, **changes: Any) -> _Config:
    """A section as its job's own class, which workers know without importing the chain."""
    return kind(**({field.name: getattr(section, field.name) for field in fields(kind)} | changes))
