"""The configuration of a training job."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pipeline.clip.template_choice import Templates, read_templates
from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import AbsentMeans, LocalPath, ReadOnce, Running
from pipeline.regions.config import Fill
from pipeline.retention.config import RetentionConfig
from pipeline.weights.precision import Precision

Mode = Literal["pretrain", "full", "mask_prompt", "full_then_mask_prompt"]

PhaseName = Literal["pretrain", "full", "mask_prompt"]

LossKind = Literal["contrastive", "multi_positive", "classification"]

Parameters = Literal["all", "attention_qv", "attention", "last_blocks", "lora"]


@dataclass
class ModelConfig:
    """The CLIP to adapt."""

    architecture: Annotated[str | None, LocalPath.LOCAL_DIR] = "ViT-B-16"
    """open_clip model name, `hf-hub:org/repo`, `local-dir:/path`, or null for OpenAI's and OVSeg's own layouts."""
    weights: Annotated[str | None, LocalPath.FILE_OR_NAME] = "openai"
    """open_clip tag, path of a checkpoint, or `random` (seeded; for trials)."""
    templates: Annotated[Templates, ReadOnce(read_templates)] = "vild"
    """Prompt templates of the nouns: none, photo (1), vild (14), imagenet (80); or a list of your own,
    ["a satellite photo of {}"], or a file with one a line. A noun's embedding is the average over them, as in mining
    and segmentation."""
    precision: Precision = "auto"
    """Number format of training; auto: bf16 autocast on a GPU, fp32 on the CPU."""


@dataclass
class BalanceConfig:
    """Fewer pairs of frequent nouns: a noun with n training pairs keeps about min(n, per_noun) of them."""

    per_noun: Annotated[Annotated[int, Limit(ge=1)] | None, AbsentMeans(None)] = None
    """Each pair of a noun with n pairs is kept with probability min(1, per_noun/n), as in MetaCLIP (Xu et al. 2023).
    Empty: all are."""
    cap: Annotated[Annotated[int, Limit(ge=1)] | None, AbsentMeans(None)] = None
    """No noun keeps more pairs than this. Empty: no limit."""
    seed: Annotated[int, Limit(ge=0), AbsentMeans(0)] = 0
    """Decides, with its key, whether a pair is kept. With the same seed, a smaller `per_noun` or `cap` keeps some of
    what a larger one keeps."""


@dataclass
class DataConfig:
    """Which samples of a mined dataset are shown, and how."""

    where: str | None = None
    """SQL condition over the columns of the manifests, `p_right` (python -m jobs.inspect quality), and those of
    verifiers (`verify` of mining): "clip_score > 0.25 and mask_area > 1024", "so400m_score > 0.2", or the best of each
    noun, "percent_rank() over (partition by noun order by p_right desc) < 0.6". Empty: all pairs. The same pairs every
    time: random() and the like are refused."""
    weight: Annotated[str | None, AbsentMeans(None)] = None
    """SQL expression over the same columns of the pairs that are trained on: how much a pair counts in the loss, from 0
    (left out), relative to the others: "p_right / sqrt(count(*) over (partition by noun))". Empty: all the same."""
    deduplicate: Annotated[Annotated[int, Limit(ge=0, le=16)] | None, AbsentMeans(None)] = None
    """Keep one image of each group of near-duplicates: images whose perceptual hashes differ in so many of 64 bits at
    most, as `jobs.inspect duplicates` groups them; 6 finds what was made smaller or compressed anew. Of each group the
    first image stays that has pairs which fulfil `where`. Empty: all images."""
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    """Of the pairs that are trained on, before they are weighted."""
    text: Annotated[Literal["noun", "phrase"], AbsentMeans("noun")] = "noun"
    """What a region is trained on, and validated by: its noun ("bus"), or its phrase ("red bus"), of a dataset that has
    phrases (`nouns.form` of mining). All other phrases are then wrong for it, "bus" and "blue bus" among them."""
    fill: Fill = "mean"
    """Colour outside the mask: CLIP's mean colour (0 after normalisation), black (zero), or none: the background."""
    expand: Annotated[float, Limit(ge=1)] = 1.0
    """The tight box of the mask is scaled about its centre by this factor; beyond the stored crop there is nothing."""
    min_scale: Annotated[float, Limit(gt=0, le=1)] = 0.9
    """A random window of min_scale..1 of the box's area, aspect ratio 3/4..4/3, is shown (the reference's
    RandomResizedCrop); 1: always the whole box, as in mining."""
    unmasked_share: Annotated[float, Limit(ge=0, le=1)] = 0.0
    """Share of the samples that are shown with their background and an all-ones mask (Alpha-CLIP takes 0.1)."""
    held_out_share: Annotated[float, Limit(ge=0, le=1)] = 0.01
    """Share of the images that are kept from training for validation; which ones depends on their image_id alone,
    not on `fold`."""
    fold: Annotated[Annotated[int, Limit(ge=0)] | None, AbsentMeans(None)] = None
    """Train on the images of this fold alone, 0..folds-1; empty: on all. For cross-fitting: the images of one fold are
    mined by a CLIP that was adapted on the others. The held-out images stay those of all folds."""
    folds: Annotated[int, Limit(ge=2), AbsentMeans(2)] = 2
    """Number of folds; which one an image is in depends on its image_id and on this number alone."""
    loaders: Annotated[int, Limit(ge=0), Running] = 2
    """Processes per training worker that read and decode; 0: the training worker does it itself, between its steps."""
    shuffle_shards: Annotated[int, Limit(ge=1)] | None = None
    """Shards whose samples are mixed with one another; empty: all. A few keep the reading of a remote dataset that is
    larger than its cache local."""
    cache: Annotated[str | None, Running] = None
    """Folder on each node for the shards of remote datasets, which nobody else may write into; empty: one in the folder
    for temporary files."""
    cache_gb: Annotated[float, Limit(gt=0), Running] = 100
    """What the folder `cache` may hold, in 10⁹ bytes; the shards used longest ago make room."""
    skip_damaged: bool = False
    """Check every checksum first and leave damaged shards out, instead of stopping at what is missing."""


@dataclass
class LossConfig:
    """What is minimised."""

    kind: LossKind = "classification"
    """contrastive: InfoNCE over the global batch, as the paper; multi_positive: InfoNCE in which each distinct noun of
    the batch counts once, with all its regions as positives; classification: cross-entropy over all nouns of the
    dataset."""
    distillation: Annotated[float, Limit(ge=0)] = 0.0
    """Weight of the cosine distance to the original model's features on un-masked regions
    (needs `data.unmasked_share`)."""
    hard_negatives: Annotated[int, Limit(ge=0), AbsentMeans(0)] = 0
    """How many of a pair's hard negatives, which mining with `negatives.count` finds, its region is told apart from,
    besides the other nouns; pairs that have fewer use those. 0: none, as in the paper."""


@dataclass
class PhaseConfig:
    """One pass of optimisation over the dataset: AdamW, linear warm-up (as in OVSeg's code), cosine to 0 (Sec. 4.1)."""

    epochs: Annotated[int, Limit(ge=1)]
    """Passes over the training samples."""
    learning_rate: Annotated[float, Limit(gt=0)]
    """Peak learning rate, after the warm-up."""
    weight_decay: Annotated[float, Limit(ge=0)]
    """AdamW weight decay of matrices; vectors, biases, norms and prompts have none."""
    warmup_steps: Annotated[int, Limit(ge=0)] = 100
    """Steps of linear warm-up."""


@dataclass
class PretrainConfig(PhaseConfig):
    """Contrastive training of both towers on the stored crops as they are, with their background and no masks.

    Not part of OVSeg: it makes a CLIP to begin with, where there is none."""

    epochs: Annotated[int, Limit(ge=1)] = 32
    learning_rate: Annotated[float, Limit(gt=0)] = 5e-4
    weight_decay: Annotated[float, Limit(ge=0)] = 0.2
    frozen: list[str] = field(default_factory=list)
    """Beginnings of the names of parameters that stay as they are: [token_embedding], for example."""


@dataclass
class LoraConfig:
    """Low-rank changes of matrices (LoRA, Hu et al. 2021): W + alpha/rank · B·A, merged into W in the end."""

    rank: Annotated[int, Limit(ge=1), AbsentMeans(8)] = 8
    """Of each change; at most the smaller side of the matrix."""
    alpha: Annotated[float, Limit(gt=0), AbsentMeans(16.0)] = 16.0
    """Times 1/rank the factor on the change."""
    matrices: list[Annotated[Literal["q", "k", "v", "out", "mlp"], AbsentMeans(["q", "v"])]] = field(
        default_factory=lambda: ["q", "v"]
    )
    """Which matrices of every block are changed: query, key, value and output of the attention, and all of the MLP."""


@dataclass
class FullConfig(PhaseConfig):
    """Finetuning on regions: of the whole image tower as in the paper (Sec. 4.1), or of some of its weights."""

    epochs: Annotated[int, Limit(ge=1)] = 5
    learning_rate: Annotated[float, Limit(gt=0)] = 5e-6
    weight_decay: Annotated[float, Limit(ge=0)] = 0.2
    parameters: Annotated[Parameters, AbsentMeans("all")] = "all"
    """Which weights of the image tower move. all: the tower and the temperature, as in the paper; attention_qv: query
    and value of every block (CAT-Seg, MaskCLIP++); attention: query, key, value and output; last_blocks: the last
    blocks and what follows them; lora: low-rank changes. All but the first leave the temperature as it is."""
    last_blocks: Annotated[int, Limit(ge=1), AbsentMeans(1)] = 1
    """How many blocks move with `parameters: last_blocks`."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Of `parameters: lora`, which wants a larger learning rate, 1e-4 for example."""
    layer_decay: Annotated[float, Limit(gt=0, le=1)] = 1.0
    """Learning-rate factor from each layer to the one below it; 1 is the paper's."""
    wise_ft: Annotated[float, Limit(ge=0, le=1)] = 1.0
    """Share of the tuned weights in the average with the original ones that ends the phase (WiSE-FT); 1: no average."""


@dataclass
class TextConfig:
    """What moves of the text tower, in phase `full`."""

    parameters: Annotated[Literal["frozen"] | Parameters, AbsentMeans("frozen")] = "frozen"
    """Which weights of the text tower move: frozen, as in the paper: none; else see `full.parameters`. What moves has
    the texts of each batch embedded anew in the step, with all templates."""
    last_blocks: Annotated[int, Limit(ge=1), AbsentMeans(1)] = 1
    """How many blocks move with `parameters: last_blocks`."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Of `parameters: lora`."""
    learning_rate: Annotated[Annotated[float, Limit(gt=0)] | None, AbsentMeans(None)] = None
    """Peak learning rate of the text tower; empty: that of `full`."""


@dataclass
class MaskPromptConfig(PhaseConfig):
    """Mask prompt tuning: prompts are trained and nothing else changes (paper Sec. 3.3)."""

    epochs: Annotated[int, Limit(ge=1)] = 5
    learning_rate: Annotated[float, Limit(gt=0)] = 2e-2
    weight_decay: Annotated[float, Limit(ge=0)] = 0.0
    depth: Annotated[int, Limit(ge=1)] = 3
    """Layers whose blank patches get prompts."""


@dataclass
class ReplayConfig:
    """Whole images with their captions beside the regions, in phase `full`, so that less is forgotten of them."""

    share: Annotated[float, Limit(ge=0, lt=1), AbsentMeans(0.0)] = 0.0
    """Share of each batch that are whole images, with the loss of CLIP's training (Alpha-CLIP takes 0.1), and of the
    loss that they are. They are read from where they were mined from; those that have gone are counted."""
    dataset: Annotated[str | None, LocalPath.ANY, AbsentMeans(None)] = None
    """Another mined dataset, whose images are shown; empty: those of `dataset`, without the ones that are held out."""


@dataclass
class ValidationConfig:
    """Zero-shot accuracy on masked regions, before training and after every epoch."""

    dataset: Annotated[str | None, LocalPath.ANY] = None
    """Another mined dataset to validate on; empty: the images that `data.held_out_share` keeps from training."""
    max_regions: Annotated[int, Limit(ge=1)] = 10_000
    """Validate on at most this many regions, evenly spread."""


@dataclass
class WorkersConfig:
    """What the workers may use."""

    count: Annotated[int, Limit(ge=1)] = 1
    """Training processes: one for each GPU, or any number on CPUs."""
    gpu: bool | None = None
    """Whether every worker has a GPU. Empty: if the cluster has any."""
    threads: Annotated[int, Limit(ge=1)] = 1
    """CPU threads of one worker. Results are bit-identical only for the same number."""
    wait_minutes: Annotated[int, Limit(ge=0)] = 10
    """On a cluster: minutes, altogether, to wait for machines that are not there, or not any more. Then the run ends
    with exit code 1."""


@dataclass
class CheckpointsConfig:
    """When the state is saved, and what is kept."""

    every_steps: Annotated[int, Limit(ge=1)] = 1000
    """Steps between two checkpoints, besides those at the end of every epoch."""
    keep: Annotated[int, Limit(ge=1)] = 2
    """How many checkpoints are kept besides the newest: those with the best accuracy."""


@dataclass
class TrainConfig:
    """Everything that `python -m jobs.train` can be told."""

    dataset: Annotated[str, LocalPath.ANY]
    """Output directory of a mining job, any fsspec URI."""
    output: Annotated[str, Running, LocalPath.OUTPUT]
    """Directory of this run, any fsspec URI."""
    mode: Mode = "full_then_mask_prompt"
    """What is trained, and in which order. The paper's best is full finetuning, then mask prompts (Table 5); `pretrain`
    makes a CLIP to begin with."""
    batch_size: Annotated[int, Limit(ge=1)] = 256
    """Regions per step over all workers; with `replay.share`, regions and whole images."""
    micro_batch_size: Annotated[Annotated[int, Limit(ge=1)] | None, Running] = None
    """Regions per forward pass of one worker; empty: its whole share. Smaller needs less memory and costs a second
    forward pass; loss and gradients are the same."""
    seed: Annotated[int, Limit(ge=0)] = 0
    """Decides the order of the samples, their augmentation, and the start of the prompts."""
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    full: FullConfig = field(default_factory=FullConfig)
    text: TextConfig = field(default_factory=TextConfig)
    mask_prompt: MaskPromptConfig = field(default_factory=MaskPromptConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    workers: Annotated[WorkersConfig, Running] = field(default_factory=WorkersConfig)
    checkpoints: Annotated[CheckpointsConfig, Running] = field(default_factory=CheckpointsConfig)
    max_failures: Annotated[int, Limit(ge=-1), Running] = 3
    """How often the run goes on after it has lost a worker; -1: always."""
    gradient_checkpointing: Annotated[bool, Running] = False
    """Recompute activations in the backward pass: less memory, a third more work."""
    compile: Annotated[bool, Running] = False
    """Compile the image tower with `torch.compile`."""
    loggers: list[Annotated[Literal["tensorboard", "wandb", "mlflow"], Running]] = field(
        default_factory=lambda: ["tensorboard"]
    )
    """Where curves go, besides metrics.parquet."""
    log_every: Annotated[int, Limit(ge=1), Running] = 10
    """Steps between two log lines. A loss that is not a number is noticed then."""
