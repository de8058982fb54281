"""Hard negatives: texts that are near to the noun or phrase of a pair, and wrong for its region."""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.negatives.config import NegativesConfig
    from pipeline.negatives.negatives import ImageText, Negatives, Subject

__all__ = ["ImageText", "Negatives", "NegativesConfig", "Subject"]

__getattr__ = lazy_imports(__name__)
