"""What is asked of mined pairs by a CLIP's features, and what is answered."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Question:
    """What is asked for: pairs near one class, or near both of two."""

    names: tuple[str, ...]
    """One name, or that of the true class and the one it is taken for."""

    @property
    def title(self) -> str:
        """In words."""
        return f"near {self.names[0]}" if len(self.names) == 1 else f"{self.names[0]} taken for {self.names[1]}"


@dataclass(frozen=True)
class Nearest:
    """What was found."""

    question: Question
    table: pa.Table
    """`schemas.NEAREST_PAIRS`, the nearest first."""
    looked_at: int
    """Pairs whose regions were encoded."""
    pairs: int
    """Of the dataset."""
