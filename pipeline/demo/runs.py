"""The jobs of a demo, each with its own cache: what is done is not done again, what was interrupted goes on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from pipeline.captions import CaptionsConfig
from pipeline.clip import ClipConfig
from pipeline.dataset.shards import ShardsConfig
from pipeline.demo.labelling import give_p_right
from pipeline.demo.places import DemoPlaces
from pipeline.demo.variants import UNTOUCHED, VISUAL_NOUNS, Variant
from pipeline.demo.worlds import write_annotated, write_natural, write_pretraining, write_scenes, write_tested
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.datasets import DatasetConfig
from pipeline.evaluation.run import evaluate
from pipeline.microworld.clip import write_untrained_clip
from pipeline.mining.config import MatchingConfig, MineConfig, VerifierConfig
from pipeline.mining.run import mine
from pipeline.negatives.config import NegativesConfig
from pipeline.nouns import NounsConfig
from pipeline.proposals import ProposalsConfig
from pipeline.regions import RegionsConfig
from pipeline.training.config import (
    CheckpointsConfig,
    FullConfig,
    LossConfig,
    MaskPromptConfig,
    ModelConfig,
    PretrainConfig,
    TrainConfig,
    ValidationConfig,
    WorkersConfig,
)
from pipeline.training.order import steps_per_epoch
from pipeline.training.run import train
from pipeline.training.samples import DataConfig, select_samples

_BATCH = 64
SECOND = "second"
"""The CLIP that was pretrained from other weights, and the verifier that it is."""
SURROUNDINGS = "surroundings"
"""The verifier that is the CLIP that matches, shown regions in their surroundings."""
BOX = RegionsConfig(fill="none", expand=1.4)
"""A region in its surroundings."""
NEGATIVES = 5
"""Hard negatives of a pair."""
# Scenes are small: a region of fewer than 74 pixels says nothing.
PROPOSALS = ProposalsConfig(backend="segments", min_area=0.008, max_proposals=24)


class DemoRuns(DemoPlaces):
    """Everything that one seed of a demo makes, below one folder."""

    def make_worlds(self) -> None:
        """Write the scenes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_scenes(self.folder, self.scale, self.seed, self.groups, attributes=self.attributes)

    def pretrain(self, name: str = "pretrained", first_weights: int = 0) -> None:
        """Make a CLIP that knows whole scenes and natural crops, and has never seen a blanked region.

        Args:
            name: of its directory.
            first_weights: another number, another CLIP: other weights to begin with, another order of the same pairs.
        """
        pairs = write_pretraining(self.folder, self.scale, self.seed, attributes=self.attributes)
        untrained = self.folder / ("untrained" if not first_weights else f"untrained-{first_weights}")
        seed = self.seed + 1000 * first_weights
        if not (untrained / "open_clip_config.json").exists():  # written last
            write_untrained_clip(untrained, seed)
        phase = PretrainConfig(
            epochs=self.scale.pretraining_epochs,
            learning_rate=7e-4,
            weight_decay=0.05,
            warmup_steps=50,
            frozen=["token_embedding"],  # 4.7 million parameters of which the captions use a hundredth
        )
        config = self.training(pairs, untrained, self.folder / name)
        train(replace(config, mode="pretrain", seed=seed, pretrain=phase, loss=LossConfig(kind="contrastive")))

    def mine(self) -> dict:
        """Mine region–noun pairs with the original CLIP; returns the content of `dataset.json`."""
        return mine(self._mining(self.mined))

    def mine_visual(self) -> dict:
        """Mine pairs of visual nouns alone, and keep the proposals; returns the content of `dataset.json`."""
        return mine(self.visual_mining())

    def mine_phrases(self) -> dict:
        """Mine phrases of visual nouns from the proposals that `mine_visual` kept, with hard negatives and two further
        opinions; returns the content of `dataset.json`.
        """
        second = VerifierConfig(**vars(_clip(self.folder / SECOND / "model")), name=SECOND)
        surroundings = VerifierConfig(**vars(_clip(self.clip(UNTOUCHED))), name=SURROUNDINGS, regions=BOX)
        return mine(
            replace(
                self._mining(self.mined_phrases),
                nouns=NounsConfig(form="phrase", stop_list=["@non_visual"]),
                proposals=ProposalsConfig("mined", {"dataset": str(self.mined_visual)}),
                matching=MatchingConfig(text="phrase"),
                negatives=NegativesConfig(count=NEGATIVES),
                verify=[second, surroundings],
            )
        )

    def mine_by_name(self) -> dict:
        """Mine pairs of all nouns, from what the truth answers when it is asked for them; returns the content of
        `dataset.json`.
        """
        truth: dict[str, Any] = {"annotations": str(self.mined_world / "panoptic.json"), "prompted": True}
        config = replace(self._mining(self.mined_by_name), proposals=ProposalsConfig("ground_truth", truth))
        return mine(replace(config, matching=MatchingConfig(among="prompted")))

    def visual_mining(self) -> MineConfig:
        """The configuration of mining visual nouns alone."""
        nouns = NounsConfig(stop_list=["@non_visual"])
        return replace(self._mining(self.mined_visual), nouns=nouns, keep_proposals=True)

    def _mining(self, output: Path) -> MineConfig:
        return MineConfig(
            captions=CaptionsConfig(
                format="coco", path=str(self.mined_world / "captions.json"), images=str(self.mined_world / "images")
            ),
            output=str(output),
            captions_per_image="all",
            proposals=PROPOSALS,
            clip=_clip(self.clip(UNTOUCHED)),
            shards=ShardsConfig(images_per_shard=50),
        )

    def adapt(self, variant: Variant) -> None:
        """Train a variant, as many steps as all variants have."""
        if variant.pairs == "mined":
            pairs = self.mined
        elif variant.pairs == "visual":
            self.mine_visual()
            if variant.labels is not None:
                give_p_right(self, variant.labels)
            pairs = self.mined_visual
        elif variant.pairs == "phrases":
            pairs = self.mined_phrases
        elif variant.pairs == "annotated":
            pairs = write_annotated(self.folder, self.scale, self.seed, self.groups)
        else:
            pairs = write_natural(self.folder, self.scale, self.seed)
        config = self.training(pairs, self.clip(variant.start), self.adapted(variant.name))
        data = replace(config.data, where=variant.where)
        config = replace(config, mode=variant.mode, data=data, full=self.full_phase(1))
        for key, value in variant.changes.items():
            config = _changed(config, key, value)
        # In a world with attributes, visual nouns alone are mined.
        source, where = (self.mined_visual, None) if self.attributes else (self.mined, VISUAL_NOUNS)
        mined = select_samples(str(source), replace(self._data(), where=where))
        tested = None if self.attributes else str(write_tested(self.folder, self.scale, self.seed))
        steps = self.scale.epochs * steps_per_epoch(len(mined.train), _BATCH)
        samples = len(select_samples(str(pairs), config.data).train)
        epochs = max(1, round(steps / steps_per_epoch(samples, _BATCH)))
        train(
            replace(
                config,
                full=replace(config.full, epochs=epochs),
                mask_prompt=replace(config.mask_prompt, epochs=epochs),
                validation=ValidationConfig(dataset=tested),
            )
        )

    def evaluation_config(
        self, name: str, regions: RegionsConfig | None = None, label: str | None = None
    ) -> EvaluateConfig:
        """The evaluation of the untouched CLIP or of a variant on the test world.

        Args:
            regions: how a region is shown to CLIP, if not blanked as the paper does.
            label: names such an evaluation.
        """
        return EvaluateConfig(
            dataset=DatasetConfig(kind="micro_world", root=str(self.folder / "test-world")),
            output=str(self.evaluation(label or name)),
            images_per_chunk=12,
            clip=_clip(self.clip(name)),
            proposals=PROPOSALS,
            regions=regions or RegionsConfig(),
        )

    def evaluate(self, name: str, regions: RegionsConfig | None = None, label: str | None = None) -> None:
        """Run an evaluation; see `evaluation_config`."""
        evaluate(self.evaluation_config(name, regions, label))

    @staticmethod
    def full_phase(epochs: int) -> FullConfig:
        """Full finetuning of the small CLIP."""
        return FullConfig(epochs=epochs, learning_rate=5e-4, weight_decay=0.05, warmup_steps=20)

    def training(self, pairs: Path, clip: Path, output: Path) -> TrainConfig:
        """What all trainings have in common."""
        cpus = int(ray.cluster_resources().get("CPU", 1))
        return TrainConfig(
            dataset=str(pairs),
            output=str(output),
            batch_size=_BATCH,
            seed=self.seed,
            model=ModelConfig(architecture=f"local-dir:{clip}", weights=None),
            data=self._data(),
            mask_prompt=MaskPromptConfig(learning_rate=2e-2, warmup_steps=20),
            workers=WorkersConfig(count=4 if cpus >= 4 else min(cpus, 2), gpu=False),
            checkpoints=CheckpointsConfig(every_steps=10**6),
            loggers=[],
            log_every=50,
        )

    @staticmethod
    def _data() -> DataConfig:
        # Accuracy is measured on scenes of their own, so no mined pair is held out. Reading these small crops is so
        # cheap that loader processes would only take the cores from the workers.
        return DataConfig(held_out_share=0.0, loaders=0)


def _clip(folder: Path) -> ClipConfig:
    return ClipConfig(architecture=f"local-dir:{folder}", weights=None, batch_size=64)


def _changed(config: Any, key: str, value: Any) -> Any:
    """A copy of nested dataclasses with one field, "loss.kind", changed."""
    name, _, rest = key.partition(".")
    return replace(config, **{name: _changed(getattr(config, name), rest, value) if rest else value})
