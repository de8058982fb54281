"""Looking at an output directory, from storage alone."""

from pipeline.dataset.verify import Damage, repair, verify
from pipeline.inspection.status import print_status

__all__ = ["Damage", "print_status", "repair", "verify"]
