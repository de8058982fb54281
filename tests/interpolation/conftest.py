"""Fixtures of the tests of interpolation."""

from tests.training.conftest import adapted

__all__ = ["adapted"]
