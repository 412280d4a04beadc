"""Break a long layout into columns, side by side, as a page wants it.

A cut lies between two layers, where few lines cross it. What crosses goes on along the outside:
below its column, up between the columns, and into the next one from above. Lines are nested so
that none of them crosses another there. A layout that flows sideways is broken into rows alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from protonet.diagram.layout import Item, Layout, Point, moved

_LANE = 9.0  # between lines outside the columns
_ASIDE = 14.0  # between a column and the lines beside it
_CROSSING = 0.12  # what a crossing line costs, in heights of a column

_Interval = tuple[float, float]


def into_columns(layout: Layout, count: int, together: Iterable[Sequence[int]] = ()) -> None:
    """Break a layout, in place, into at most ``count`` columns.

    Args:
        together: nodes between which it is not to be cut.
    """
    if not layout.vertical:
        _transpose(layout)
    cuts = _cuts(layout, count, together)
    if cuts:
        _Columns(layout, cuts).arrange()
    if not layout.vertical:
        _transpose(layout)


def _transpose(layout: Layout) -> None:
    for item in layout.items:
        item.box.width, item.box.height = item.box.height, item.box.width
    layout.width, layout.height = layout.height, layout.width
    moved(layout, lambda p: (p[1], p[0]))


def _cuts(layout: Layout, count: int, together: Iterable[Sequence[int]]) -> list[float]:
    """Return where to cut: near equal parts, where few lines cross."""
    occupied = [_extent([item]) for item in layout.items]
    for nodes in together:
        occupied.append(_extent([item for item in layout.items if item.node in nodes]))
    candidates = [_place(layout, gap) for gap in _gaps(occupied)]
    part = layout.height / count
    cuts: list[float] = []
    for k in range(1, count):
        near = [c for c in candidates if abs(c - k * part) < part / 2 and c not in cuts]
        if near:
            cuts.append(min(near, key=lambda c: _cost(layout, c, k * part, part)))
    return sorted(cuts)


def _cost(layout: Layout, cut: float, wanted: float, part: float) -> tuple[float, float]:
    crossing = len(_crossing(layout, cut))
    return round(crossing * _CROSSING + abs(cut - wanted) / part, 6), cut


def _extent(items: Sequence[Item]) -> _Interval:
    """Return from where to where boxes reach along the flow, with their labels and arrows."""
    ends = [item.y + item.box.height for item in items]
    ends += [y for item in items for line in item.foot for _, y in line]
    return min(item.y for item in items), max(ends)


def _gaps(occupied: list[_Interval]) -> list[_Interval]:
    gaps, reach = [], None
    for start, end in sorted(occupied):
        if reach is not None and start > reach:
            gaps.append((reach, start))
        reach = end if reach is None else max(reach, end)
    return gaps


def _place(layout: Layout, gap: _Interval) -> float:
    """Return where in a gap to cut: before the lines there turn aside and fork."""
    turns = [
        a[1]
        for wire in layout.wires
        for a, b in pairwise(wire.points)
        if a[1] == b[1] and gap[0] < a[1] < gap[1]
    ]
    return round((gap[0] + min([gap[1], *turns])) / 2, 2)


def _crossing(layout: Layout, cut: float) -> set[tuple[tuple[int, int], float]]:
    """Return (blob, x) of each line that crosses a cut."""
    return {
        (wire.blob, a[0])
        for wire in layout.wires
        for a, b in pairwise(wire.points)
        if min(a[1], b[1]) < cut < max(a[1], b[1])
    }


class _Columns:
    def __init__(self, layout: Layout, cuts: list[float]) -> None:
        self.layout = layout
        self.cuts = cuts
        self.starts = [0.0, *cuts]
        self.ends = [*cuts, layout.height]
        # per cut, the lines that cross it, the rightmost first: it gets the innermost lane
        self.lanes = [
            sorted(_crossing(layout, cut), key=lambda line: (-line[1], line[0])) for cut in cuts
        ]
        self.top = max(len(lanes) for lanes in self.lanes) * _LANE + _ASIDE

    def arrange(self) -> None:
        layout = self.layout
        offset = 0.0
        self.shift: list[float] = []
        self.right: list[float] = []
        for k in range(len(self.starts)):
            low, high = self._breadth(k)
            self.shift.append(offset - low)
            offset += high - low
            self.right.append(offset)
            if k < len(self.lanes):
                offset += 2 * _ASIDE + len(self.lanes[k]) * _LANE
        for wire in layout.wires:
            wire.points = self._wire(wire.points, wire.blob)
        for item in layout.items:
            k = self._column(item.y)
            item.foot = [[self._moved(p, k) for p in line] for line in item.foot]
            item.x, item.y = self._moved((item.x, item.y), k)
        layout.forks = [self._moved(p, self._column(p[1])) for p in layout.forks]
        lowest = [
            end - start + self.top + (len(self.lanes[k]) * _LANE if k < len(self.lanes) else 0)
            for k, (start, end) in enumerate(zip(self.starts, self.ends, strict=True))
        ]
        layout.width, layout.height = round(offset, 1), round(max(lowest), 1)

    def _column(self, y: float) -> int:
        return sum(y > cut for cut in self.cuts)

    def _moved(self, point: Point, k: int) -> Point:
        y = point[1] - self.starts[k] + self.top
        return round(point[0] + self.shift[k], 1), round(y, 1)

    def _breadth(self, k: int) -> _Interval:
        """Return from where to where a column reaches across the flow."""
        start, end = self.starts[k], self.ends[k]
        xs: list[float] = []
        for item in self.layout.items:
            if self._column(item.y) == k:
                xs += [item.x, item.x + item.box.width]
        for wire in self.layout.wires:
            for a, b in pairwise(wire.points):
                if max(a[1], b[1]) >= start and min(a[1], b[1]) <= end:
                    xs += [a[0], b[0]]
        return min(xs), max(xs)

    def _wire(self, points: list[Point], blob: tuple[int, int]) -> list[Point]:
        """Return a line with the detours that the cuts make it take."""
        line: list[Point] = []
        for a, b in pairwise(points):
            here, there = self._column(a[1]), self._column(b[1])
            line.append(self._moved(a, here))
            step = 1 if there > here else -1
            for k in range(here, there, step):
                cut = k if step > 0 else k - 1
                detour = self._detour(cut, a[0], self.lanes[cut].index((blob, a[0])))
                line += detour if step > 0 else detour[::-1]
        line.append(self._moved(points[-1], self._column(points[-1][1])))
        return line

    def _detour(self, cut: int, x: float, lane: int) -> list[Point]:
        below = self.ends[cut] - self.starts[cut] + self.top + lane * _LANE + _LANE / 2
        beside = self.right[cut] + _ASIDE + lane * _LANE
        above = lane * _LANE
        before, after = x + self.shift[cut], x + self.shift[cut + 1]
        points = [(before, below), (beside, below), (beside, above), (after, above)]
        return [(round(p[0], 1), round(p[1], 1)) for p in points]
