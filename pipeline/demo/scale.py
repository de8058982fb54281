"""How large a demo is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Sizes of everything; what the demo makes for one scale is never mixed with another's."""

    name: str
    pretraining_scenes: int
    pretraining_epochs: int
    mined_scenes: int
    test_scenes: int
    epochs: int
    """Of adaptation, over the mined pairs of visual nouns."""


FULL = Scale("full", pretraining_scenes=6000, pretraining_epochs=4, mined_scenes=1000, test_scenes=240, epochs=8)
QUICK = Scale("quick", pretraining_scenes=2000, pretraining_epochs=4, mined_scenes=240, test_scenes=48, epochs=8)
