"""Masked regions of an image as CLIP sees them (OVSeg Sec. 3.1): `cutting` makes them."""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.regions.config import Fill, RegionsConfig
    from pipeline.regions.cutting import cut_windows, masked_regions, tight_boxes
    from pipeline.regions.windows import Windows

__all__ = ["Fill", "RegionsConfig", "Windows", "cut_windows", "masked_regions", "tight_boxes"]

__getattr__ = lazy_imports(__name__)
