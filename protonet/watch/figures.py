"""What all figures share: matplotlib when it is there, colours, sizes, how they are written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from protonet.errors import OutputError
from protonet.files import written_beside

MISSING = "figures need matplotlib: pip install 'protonet-caffe[plot]'"
SUFFIXES = (".svg", ".png", ".pdf")

# Okabe and Ito's colours, which most people can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")

_MOST_POINTS = 120  # of a curve with a band: more only make a figure large

_STYLE: dict[Any, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "font.size": 9.5,
    "grid.alpha": 0.25,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "savefig.dpi": 140,
    "svg.fonttype": "path",
    "svg.hashsalt": "protonet",  # the same figure is the same file
}


def require() -> None:
    """Find out before the work whether figures can be drawn.

    Raises:
        OutputError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise OutputError(MISSING) from None


def make_folder(folder: Path) -> None:
    """Make a folder for figures, if it is not there.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made: {error.strerror}") from None


@contextmanager
def figure(
    path: str | os.PathLike[str], rows: int, columns: int, size: tuple[float, float]
) -> Iterator[tuple[Any, Any]]:
    """Yield a figure and its (rows, columns) axes; write it to ``path`` when the block ends.

    The suffix of ``path`` chooses the form: .svg, .png or .pdf.

    Args:
        size: width and height in inches.

    Raises:
        OutputError: matplotlib is not installed, the suffix is another, or the file cannot be
            written.
    """
    require()
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}")
    import matplotlib as mpl
    from cycler import cycler
    from matplotlib.figure import Figure

    style = {**_STYLE, "axes.prop_cycle": cycler(color=list(COLOURS))}
    with mpl.rc_context(style):
        fig = Figure(figsize=size)
        axes = np.array(fig.subplots(rows, columns, squeeze=False))
        yield fig, axes
        with written_beside(path) as file:
            metadata = {"Date": None} if suffix == ".svg" else None
            fig.savefig(file, format=suffix[1:], metadata=metadata)


def smooth(values: Sequence[float], points: int = 60) -> Any:
    """Return the means over a window that leaves about ``points`` independent ones.

    values: (n,); returns (n,) float64, the windows cut short at both ends.
    """
    y = np.asarray(values, np.float64)
    half = len(y) // (2 * points)
    if half == 0:
        return y
    sums = np.concatenate([[0.0], np.cumsum(y)])
    at = np.arange(len(y))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(y))
    return (sums[high] - sums[low]) / (high - low)


def band(
    axis: Any,
    curves: Sequence[tuple[Sequence[float], Sequence[float]]],
    colour: Any,
    label: str,
    kind: str = "-",
) -> None:
    """Draw the mean of several curves, and one standard deviation around it.

    Curves that end early count as far as they go; xs are those of the longest.
    """
    curves = [curve for curve in curves if len(curve[0])]
    if not curves:
        return
    xs = max((curve[0] for curve in curves), key=len)
    ys = np.full((len(curves), len(xs)), np.nan)
    for row, (_, values) in zip(ys, curves, strict=True):
        row[: len(values)] = values
    there = np.isfinite(ys)
    counts = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, ys, 0).sum(axis=0) / counts
    squares = np.where(there, ys - mean, 0.0) ** 2
    deviation = np.sqrt(squares.sum(axis=0) / np.maximum(counts - 1, 1))
    every = -(-len(xs) // _MOST_POINTS)
    xs, mean, deviation = xs[::every], mean[::every], deviation[::every]
    axis.plot(xs, mean, kind, color=colour, label=label)
    if len(curves) > 1:
        axis.fill_between(xs, mean - deviation, mean + deviation, color=colour, alpha=0.18, lw=0)


def scale_iterations(axis: Any) -> None:
    """Write iterations as 1,000 rather than 1000."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 2.5, 5, 10]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axis.set_xlabel("iteration")


def plain_log(axis: Any) -> None:
    """Scale values by their logarithm, and write them as 0.5, 1, 2 rather than as powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def ramp(count: int) -> list[Any]:
    """Return ``count`` colours from dark to light, for layers in order."""
    import matplotlib as mpl

    colours = mpl.colormaps["viridis"]
    return [colours(x) for x in np.linspace(0.0, 0.88, max(count, 1))]
