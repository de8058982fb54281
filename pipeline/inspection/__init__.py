"""Looking at an output directory, from storage alone."""

from pipeline.inspection.status import print_status
from pipeline.inspection.verify import Damage, repair, verify

__all__ = ["Damage", "print_status", "repair", "verify"]
