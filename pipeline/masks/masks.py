"""The masks of one image: run-length codes, and the frame that all of them fill."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self, overload

import numpy as np

from pipeline.masks import rle
from pipeline.masks.rle import Rle
from pipeline.masks.rle_writing import encode_runs
from pipeline.masks.runs import Runs, decode_runs

_MOST_RUNS_HELD = 2**22


@dataclass(frozen=True)
class Masks(Sequence[Rle]):
    """K binary masks of one frame. A sequence of their codes; K may be 0.

    Whether every code fits the frame is checked here, once, from its runs: nothing that takes `Masks` checks it again,
    and neither do copies that another process gets.

    Raises:
        ValueError: a code does not fill the frame, or is none.
    """

    rles: Sequence[Rle]
    """COCO's run-length codes, a tuple."""
    height: int
    """Pixels."""
    width: int
    """Pixels."""
    areas: np.ndarray = field(init=False, repr=False, compare=False)
    """Pixels in each mask, int64 [K]."""
    _runs: Runs | None = field(init=False, repr=False, compare=False)
    """Theirs, if the masks were made of them; they do not travel to other processes."""

    def __post_init__(self) -> None:
        self._set(tuple(self.rles), rle.areas(self.rles, self.height, self.width))

    @classmethod
    def encode(cls, masks: np.ndarray) -> Self:
        """The codes of masks, bool or uint8 [K, H, W]; pixels that are not 0 are in the mask.

        Raises:
            ValueError: the array does not have three dimensions, or has another type.
        """
        return cls(rle.encode(masks), *masks.shape[1:])

    def __len__(self) -> int:
        return len(self.rles)

    @overload
    def __getitem__(self, index: int) -> Rle: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Rle | Self:
        """One code, or some of the masks."""
        if isinstance(index, slice):
            return self.select(range(*index.indices(len(self))))
        return self.rles[index]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frame, pixels."""
        return self.height, self.width

    @classmethod
    def of_runs(cls, runs: Sequence[Runs], height: int, width: int) -> Self:
        """The masks that have these runs, those of each part after those of the one before."""
        codes = tuple(code for part in runs for code in encode_runs(part))
        areas = np.concatenate([np.zeros(0, np.int64), *(part.areas() for part in runs)])
        return cls._unchecked((height, width), codes, areas, _joined(runs))

    def select(self, indices: Iterable[int]) -> Self:
        """The masks with these indices, in this order."""
        chosen = [int(index) for index in indices]
        codes = tuple(self.rles[index] for index in chosen)
        runs = None
        if self._runs is not None and chosen and chosen == list(range(chosen[0], chosen[0] + len(chosen))):
            runs = self._runs.select(chosen[0], chosen[-1] + 1)
        return self._unchecked(self.size, codes, self.areas[chosen], runs)

    def decode(self) -> np.ndarray:
        """Masks of 0 and 1, uint8 [K, height, width], C-contiguous."""
        return rle.decode(self.rles, self.height, self.width, checked=True)

    def boxes(self) -> np.ndarray:
        """Tight boxes x0, y0, x1, y1 in pixels, x1 and y1 exclusive, int64 [K, 4]; zeros if empty."""
        return self.runs().boxes()

    def runs(self) -> Runs:
        """Where the runs of all masks begin and end."""
        return decode_runs(self.rles, self.height, self.width) if self._runs is None else self._runs

    def iou(self, other: Self) -> np.ndarray:
        """Intersection over union of every mask with every one of `other`, float32 [K, L]; 0 where both are empty.

        Raises:
            ValueError: `other` has another frame.
        """
        if self.size != other.size:
            raise ValueError(f"masks of frames (height, width) {self.size} and {other.size} cannot be compared")
        return rle.iou(self.rles, other.rles, self.height, self.width, checked=True)

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_runs": None}

    @classmethod
    def _unchecked(cls, size: tuple[int, int], rles: tuple[Rle, ...], areas: np.ndarray, runs: Runs | None) -> Self:
        masks = object.__new__(cls)
        object.__setattr__(masks, "height", size[0])
        object.__setattr__(masks, "width", size[1])
        masks._set(rles, areas, runs)
        return masks

    def _set(self, rles: tuple[Rle, ...], areas: np.ndarray, runs: Runs | None = None) -> None:
        object.__setattr__(self, "rles", rles)
        object.__setattr__(self, "areas", areas)
        object.__setattr__(self, "_runs", runs)


def _joined(parts: Sequence[Runs]) -> Runs | None:
    """The runs of all parts, unless they are too many to be kept beside the codes: 16 bytes each."""
    if not parts or sum(len(part.begins) for part in parts) > _MOST_RUNS_HELD:
        return None
    before = np.cumsum([0, *(len(part.begins) for part in parts)])
    first = [part.first[:-1] + start for part, start in zip(parts, before[:-1], strict=True)]
    begins, ends = (np.concatenate([getattr(part, name) for part in parts]) for name in ("begins", "ends"))
    return Runs(begins, ends, np.append(np.concatenate(first), before[-1]), parts[0].height, parts[0].width)
