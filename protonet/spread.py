"""How sure a mean over a few runs is, and tables of such."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

# Student's t: 97.5 % lie below, by degrees of freedom.
_T = (
    (1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (6, 2.447), (7, 2.365),
    (8, 2.306), (9, 2.262), (10, 2.228), (12, 2.179), (15, 2.131), (20, 2.086), (30, 2.042),
    (60, 2.000), (math.inf, 1.960),
)  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (of a single value, with n - 1) of ``count`` values."""

    mean: float
    deviation: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Describe values; those that are not finite make the mean so, too."""
        count = len(values)
        mean = sum(values) / count if count else math.nan
        if count < 2:
            return cls(mean, 0.0, count)
        return cls(mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (count - 1)), count)

    def text(self, form: str = ".2f") -> str:
        """Return ``mean ± deviation``, the mean alone for a single value."""
        if self.count < 2:
            return f"{self.mean:{form}}"
        return f"{self.mean:{form}} ± {self.deviation:{form}}"


@dataclass(frozen=True)
class Difference:
    """The difference of two means and its 95 % confidence interval, which one value lacks."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0

    def text(self, form: str = "+.2f") -> str:
        if math.isinf(self.low):
            return f"{self.value:{form}} (no interval from one run)"
        return f"{self.value:{form}} (95 % interval {self.low:{form}} to {self.high:{form}})"


def difference(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Return mean(a) - mean(b), by Welch's t interval: the spreads need not be alike."""
    one, two = Spread.of(a), Spread.of(b)
    value = one.mean - two.mean
    if min(one.count, two.count) < 2:
        return Difference(value, -math.inf, math.inf)
    u, v = one.deviation**2 / one.count, two.deviation**2 / two.count
    if u + v == 0:
        return Difference(value, value, value)
    freedom = (u + v) ** 2 / (u**2 / (one.count - 1) + v**2 / (two.count - 1))
    half = t_quantile(freedom) * math.sqrt(u + v)
    return Difference(value, value - half, value + half)


def t_quantile(freedom: float) -> float:
    """Return what 97.5 % of Student's t are below; between table entries a line in 1/freedom."""
    freedom = max(1.0, freedom)
    for (low, t_low), (high, t_high) in pairwise(_T):
        if freedom <= high:
            share = (1 / low - 1 / freedom) / (1 / low - 1 / high)
            return t_low + share * (t_high - t_low)
    return _T[-1][1]


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    lines = [_row(headings), "|" + " --- |" * len(headings)]
    return "\n".join([*lines, *map(_row, rows)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
