"""Which blobs lie in the same memory, in a net that only runs forward and keeps few of them.

A blob takes part from the layer that writes it to the last one that reads it; then its memory is
free for the next. Those that a layer without bottoms fills, that users' own layers see, and that
are to be kept have memory of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protonet.blob import Blob, aligned_zeros
from protonet.fusion import Chain, chains
from protonet.plan import Plan

_ROUND = 16  # values: each blob may start on a cache line


@dataclass(frozen=True)
class Storage:
    """Pieces of memory, and which blob takes which.

    Attributes:
        sizes: values of each piece, all float32.
        places: blobs, each with the index of its piece.
        apart: blobs that keep memory of their own.
    """

    sizes: list[int]
    places: list[tuple[Blob, int]]
    apart: list[Blob]

    @property
    def count(self) -> int:
        """Values that all blobs together take."""
        return sum(self.sizes) + sum(blob.count for blob in self.apart)

    def lend(self) -> None:
        """Take the memory and have the blobs use it."""
        pieces = [aligned_zeros(size) for size in self.sizes]
        for blob, piece in self.places:
            blob.lend(pieces[piece][: blob.count])


def share_out(chains: Sequence[Chain], kept: Iterable[Blob]) -> Storage:
    """Plan the memory of a forward pass over these chains.

    Args:
        kept: blobs that somebody may read after the pass.
    """
    root: dict[int, Blob] = {}  # of blobs that hold another's values: whose

    def origin(blob: Blob) -> Blob:
        return root.get(id(blob), blob)

    own = {id(blob) for blob in kept}
    last: dict[int, int] = {}
    for i, chain in enumerate(chains):
        first, end = chain.steps[0], chain.steps[-1]
        foreign = not type(first.layer).__module__.startswith("protonet.layers.")
        if not first.bottom or foreign or first.layer.type == "Python":
            own.update(id(origin(blob)) for blob in (*first.bottom, *end.top))
        if first.layer.shares_values(first.bottom):
            for blob in end.top:
                root[id(blob)] = origin(first.bottom[0])
                if id(blob) in own:
                    own.add(id(root[id(blob)]))
        for blob in (*first.bottom, *end.top):
            last[id(origin(blob))] = i
    sizes: list[int] = []
    free: list[int] = []
    taken: dict[int, int] = {}
    storage = Storage(sizes, [], [])
    for i, chain in enumerate(chains):
        seen = {id(b): b for b in map(origin, (*chain.steps[-1].top, *chain.steps[0].bottom))}
        for key, blob in seen.items():
            if key in taken:
                continue
            if key in own:
                storage.apart.append(blob)
                taken[key] = -1
                continue
            taken[key] = _piece(blob.count, sizes, free)
            storage.places.append((blob, taken[key]))
        free += [taken[key] for key in seen if last[key] == i and taken[key] >= 0]
    return storage


def forward_bytes(plan: Plan) -> int | None:
    """Return what parameters and blobs take in a forward pass that keeps inputs and outputs only.

    None where not all shapes are known. What kernels take for themselves does not count; it is
    the largest layer's reordered weights at most.
    """
    if any(step.trouble for step in plan.steps):
        return None
    kept = [plan.blobs[name] for name in (*plan.graph.inputs, *plan.graph.outputs)]
    values = share_out(chains(plan.steps, kept), kept).count
    return 4 * (values + sum(param.blob.count for param in plan.learnable()))


def _piece(count: int, sizes: list[int], free: list[int]) -> int:
    """Return the free piece that fits best; the largest one grows where none is large enough."""
    size = -(-count // _ROUND) * _ROUND
    if not free:
        sizes.append(size)
        return len(sizes) - 1
    large = [piece for piece in free if sizes[piece] >= size]
    piece = min(large, key=sizes.__getitem__) if large else max(free, key=sizes.__getitem__)
    sizes[piece] = max(sizes[piece], size)
    free.remove(piece)
    return piece
