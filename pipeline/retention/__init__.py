"""What a CLIP knows of whole images, and what adaptation leaves of it: zero-shot classification and retrieval.

The sets of images are in `pipeline.retention.sets`, the job in `.run`; training measures by `.measuring`.
"""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.retention.config import RetentionConfig
    from pipeline.retention.measuring import Measured, measure

__all__ = ["Measured", "RetentionConfig", "measure"]

__getattr__ = lazy_imports(__name__)
