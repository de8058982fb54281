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


# Shows that everything runs; a CLIP that has seen so little has nothing to adapt.
QUICK = Scale("quick", pretraining_scenes=700, pretraining_epochs=2, mined_scenes=120, test_scenes=24, epochs=4)
DEFAULT = Scale("demo", pretraining_scenes=4000, pretraining_epochs=4, mined_scenes=700, test_scenes=120, epochs=8)
FULL = Scale("full", pretraining_scenes=6000, pretraining_epochs=4, mined_scenes=1000, test_scenes=240, epochs=8)
