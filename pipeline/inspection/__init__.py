"""Looking at an output directory, from storage alone."""

from pipeline.inspection.status import print_status

__all__ = ["print_status"]
