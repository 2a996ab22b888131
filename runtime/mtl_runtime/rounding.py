"""Weights in 8 or 16 bits, which become float32 where they are used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Rounded:
    """A weight in fewer bits; see `mtl.export.rounding`.

    Args:
        numbers: `[R, …]`, int8 or float16.
        scales: float32, with the dimensions of `numbers`, each of the same size or of size 1; the
            weight is numbers · scales. None: the weight is `numbers`.

    Raises:
        ValueError: The arrays do not fit each other.
    """

    def __init__(self, numbers: NDArray[Any], scales: NDArray[Any] | None = None) -> None:
        if (numbers.dtype == np.int8) == (scales is None) or numbers.dtype.itemsize > 2:
            raise ValueError(f"expected int8 with scales or float16, got {numbers.dtype}")
        if scales is not None and (
            scales.dtype != np.float32
            or scales.ndim != numbers.ndim
            or any(n not in (1, size) for n, size in zip(scales.shape, numbers.shape, strict=True))
        ):
            raise ValueError(f"the scales {scales.shape} do not fit the weight {numbers.shape}")
        self.numbers = numbers
        self.scales = scales
        self.size: int = numbers.size

    def expanded(self) -> NDArray[np.float32]:
        """Return the weight."""
        return _product(self.numbers, self.scales)

    def rows(self, ids: NDArray[Any]) -> NDArray[np.float32]:
        """Return the rows of ids `[…]`, an array `[…, …]`; the table itself stays as it is."""
        scales = self.scales
        if scales is not None and len(scales) == len(self.numbers):
            scales = scales[ids]
        return _product(self.numbers[ids], scales)


def _product(numbers: NDArray[Any], scales: NDArray[Any] | None) -> NDArray[np.float32]:
    found = numbers.astype(np.float32)
    if scales is not None:
        found *= scales
    return found
