"""Where everything of one seed of a demo lies."""

from pathlib import Path

from pipeline.demo.scale import Scale
from pipeline.demo.variants import UNTOUCHED
from pipeline.microworld.groups import draw_groups


class DemoPlaces:
    """The folder of one seed of a demo, and the places in it."""

    def __init__(self, folder: Path, scale: Scale, seed: int, *, attributes: bool = False):
        """attributes: of the world whose things have a colour and a pattern, beside the other one."""
        self.attributes = attributes
        self.folder = folder.resolve() / f"{scale.name}-{seed}" / ("attributes" if attributes else "")
        self.scale, self.seed = scale, seed
        self.groups = draw_groups(seed)

    @property
    def mined(self) -> Path:
        """Output directory of the mining."""
        return self.folder / "mined"

    @property
    def mined_visual(self) -> Path:
        """Output directory of the mining of visual nouns alone, with the proposals."""
        return self.folder / "mined-visual"

    @property
    def mined_phrases(self) -> Path:
        """Output directory of the mining of phrases, with hard negatives and a second opinion."""
        return self.folder / "mined-phrases"

    @property
    def mined_by_name(self) -> Path:
        """Output directory of the mining that asks the truth for the nouns."""
        return self.folder / "mined-by-name"

    @property
    def mined_world(self) -> Path:
        """The scenes that are mined."""
        return self.folder / "mined-world"

    def adapted(self, name: str) -> Path:
        """Output directory of the training of a variant."""
        return self.folder / "adapted" / name

    def clip(self, name: str) -> Path:
        """Directory of the untouched CLIP, or of a variant's."""
        return (self.folder / "pretrained" if name == UNTOUCHED else self.adapted(name)) / "model"

    def evaluation(self, name: str) -> Path:
        """Output directory of an evaluation."""
        return self.folder / "evaluated" / name

    def labels(self, count: int) -> Path:
        """File of so many labels of the pairs of visual nouns."""
        return self.folder / f"labels-{count}.json"
