"""Mined regions as a bank: segmentation asks the nearest ones, so that CLIP is adapted without training."""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.bank.classifier import BankClassifier, check_bank
    from pipeline.bank.config import BankConfig
    from pipeline.bank.reading import Bank, open_bank
    from pipeline.bank.search import ExactSearch, Neighbours

__all__ = ["Bank", "BankClassifier", "BankConfig", "ExactSearch", "Neighbours", "check_bank", "open_bank"]

__getattr__ = lazy_imports(__name__)
