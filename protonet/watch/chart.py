"""Line charts as SVG text, for the report that every run ends with.

Figures for people to publish are matplotlib's, in ``figures.py``; it is optional and takes a
second to load, and a report must come out without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#555555", "#8B4513")

_WIDTH, _HEIGHT = 460, 250
_LEFT, _TOP, _BOTTOM = 52, 30, 30


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: for the legend; "" leaves it out of that.
        xs, ys: the points.
        colour: index of its colour.
        dots: mark the points.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    colour: int
    dots: bool = False


def chart(title: str, series: Sequence[Series], log: bool = False, zero: bool = False) -> str:
    """Return an ``<svg>`` element, or "" where there is nothing to draw.

    Args:
        log: scale values by their logarithm; those that have none are left out.
        zero: begin the scale at 0.
    """
    points = [
        [
            (x, y)
            for x, y in zip(one.xs, one.ys, strict=True)
            if math.isfinite(y) and (y > 0 or not log)
        ]
        for one in series
    ]
    every = [point for line in points for point in line]
    if not every:
        return ""
    right = max(x for x, _ in every) or 1
    low, high = _range([y for _, y in every] + [0.0] * zero, log)
    end = _WIDTH - _legend_width(series)

    def across(x: float) -> float:
        return _LEFT + x / right * (end - _LEFT)

    def up(y: float) -> float:
        share = (_level(y, log) - low) / (high - low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    out = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}"><text x="8" y="16" font-weight="bold">{escape(title)}</text>'
    ]
    out += _grid(low, high, right, log, across, up)
    for line, one in zip(points, series, strict=True):
        out.append(_line([(across(x), up(y)) for x, y in line], one))
    out += _legend(series, end)
    return "".join(out) + "</svg>"


def _level(y: float, log: bool) -> float:
    return math.log10(y) if log else y


def _range(ys: list[float], log: bool) -> tuple[float, float]:
    levels = [_level(y, log) for y in ys]
    low, high = min(levels), max(levels)
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return low - margin, high + margin


def _grid(
    low: float,
    high: float,
    right: float,
    log: bool,
    across: Callable[[float], float],
    up: Callable[[float], float],
) -> list[str]:
    out = []
    for x in nice_ticks(0, right, 6):
        at = across(x)
        out.append(
            f'<path class="grid" d="M{at:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
            f'<text x="{at:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{x:,.0f}</text>'
        )
    values = log_ticks(low, high) if log else nice_ticks(low, high, 5)
    for value in values:
        at = up(value)
        out.append(
            f'<path class="grid" d="M{_LEFT} {at:.1f}H{across(right):.1f}"/>'
            f'<text x="{_LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    return out


def _line(points: list[tuple[float, float]], one: Series) -> str:
    colour = COLOURS[one.colour % len(COLOURS)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    width = 2 if one.dots else 1.3
    out = f'<polyline fill="none" stroke="{colour}" stroke-width="{width}" points="{path}"/>'
    if one.dots:
        out += "".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points
        )
    return out


def _legend_width(series: Sequence[Series]) -> float:
    longest = max((len(one.name) for one in series), default=0)
    return 30 + 6.2 * longest if longest else 14


def _legend(series: Sequence[Series], x: float) -> list[str]:
    out = []
    for i, one in enumerate(one for one in series if one.name):
        y = _TOP + 8 + 15 * i
        colour = COLOURS[one.colour % len(COLOURS)]
        out.append(
            f'<path stroke="{colour}" stroke-width="3" d="M{x + 8:.1f} {y}h12"/>'
            f'<text x="{x + 24:.1f}" y="{y + 4}">{escape(one.name)}</text>'
        )
    return out


def nice_ticks(low: float, high: float, about: int) -> list[float]:
    """Return round numbers from ``low`` to ``high``, roughly ``about`` of them."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten from 10^low to 10^high; 1, 2 and 5 times those where they are few."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    steps = (1,) if high - low > 2.5 else (1, 2, 5)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if low <= math.log10(tick) <= high]
