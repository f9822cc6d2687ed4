"""Sums of floats without rounding, so that sums of partitions add up to the very sum of the whole.

Every float is an integer times a power of two. The integers are added up per exponent in 64-bit halves and joined as Python
integers, which never round. The result is a `fractions.Fraction`: canonical, hence equal for equal sums whatever the order.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MANTISSA = 53
_HALF = 27
_LOW = (1 << _HALF) - 1


def exact_sum(values: NDArray[np.float64]) -> Fraction:
    """Return the exact sum of finite floats; any order and any partition gives the same Fraction."""
    if not values.size:
        return Fraction(0)
    mantissas, exponents = np.frexp(values)
    integers = np.ldexp(mantissas, _MANTISSA).astype(np.int64)
    powers, group = np.unique(exponents, return_inverse=True)
    # Halves of 26 and 27 bits: 2**36 rows fit into 64 bits before a sum could overflow.
    high = np.zeros(powers.size, dtype=np.int64)
    low = np.zeros(powers.size, dtype=np.int64)
    np.add.at(high, group, integers >> _HALF)
    np.add.at(low, group, integers & _LOW)
    base = int(powers[0])
    total = sum(((int(h) << _HALF) + int(part)) << (int(power) - base) for power, h, part in zip(powers, high, low, strict=True))
    return Fraction(total) * Fraction(2) ** (base - _MANTISSA)
