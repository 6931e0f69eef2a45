"""Rounding, said once."""

from __future__ import annotations


def ceil(dividend: int, divisor: int) -> int:
    """The quotient, rounded up."""
    return -(-dividend // divisor)
