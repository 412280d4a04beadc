"""Transposing squares of values, whole ones and parts. Imports Numba."""

from __future__ import annotations

from protonet.kernels.jit import kernel
from protonet.kernels.simd import LANES, transpose, transpose_part


@kernel("inline")
def square(
    source: int, source_row: int, rows: int, columns: int, target: int, target_row: int, lanes: int
) -> None:
    """Transpose rows x columns values, at most LANES each. See simd.transpose_part."""
    if rows == LANES and columns == LANES:
        transpose(source, source_row, target, target_row)
    else:
        transpose_part(source, source_row, rows, columns, target, target_row, lanes)
