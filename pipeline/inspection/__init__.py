"""Looking at an output directory, from storage alone."""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.inspection.status import print_lineage, print_status

__all__ = ["print_lineage", "print_status"]

__getattr__ = lazy_imports(__name__)
