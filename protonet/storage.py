"""Which blobs lie in the same memory, in a net that only runs forward and keeps few of them.

A blob takes part from the layer that writes it to the last one that reads it; then its memory is
free for the next. Those that a layer without bottoms fills, that users' own layers see, and that
are to be kept have memory of their own. A blob that a Concat alone reads is written right into the
Concat's top, if whoever writes it can do that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from protonet.blob import Blob, aligned_zeros
from protonet.fusion import Chain, for_inference
from protonet.plan import Plan

_ROUND = 16  # values: each blob may start on a cache line


@dataclass(frozen=True)
class Part:
    """A blob that is a part of another one along an axis, from ``start`` on."""

    blob: Blob
    whole: Blob
    axis: int
    start: int

    @property
    def contiguous(self) -> bool:
        return math.prod(self.whole.shape[: self.axis]) == 1

    def lend(self) -> None:
        """Have the blob use its place in the whole."""
        stop = self.start + self.blob.shape[self.axis]
        self.blob.lend(self.whole.data[(slice(None),) * self.axis + (slice(self.start, stop),)])


@dataclass(frozen=True)
class Storage:
    """Pieces of memory, and which blob takes which.

    Attributes:
        sizes: values of each piece, all float32.
        places: blobs, each with the index of its piece.
        apart: blobs that keep memory of their own.
        parts: blobs that lie in others.
    """

    sizes: list[int]
    places: list[tuple[Blob, int]]
    apart: list[Blob]
    parts: list[Part]

    @property
    def count(self) -> int:
        """Values that all blobs together take."""
        return sum(self.sizes) + sum(blob.count for blob in self.apart)

    def lend(self) -> None:
        """Take the memory and have the blobs use it."""
        pieces = [aligned_zeros(size) for size in self.sizes]
        for blob, piece in self.places:
            blob.lend(pieces[piece][: blob.count])
        for part in self.parts:
            part.lend()


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
    for chain in chains:
        first, end = chain.steps[0], chain.steps[-1]
        foreign = not type(first.layer).__module__.startswith("protonet.layers.")
        if not first.bottom or foreign or first.layer.type == "Python":
            own.update(id(origin(blob)) for blob in (*first.bottom, *end.top))
        if first.layer.shares_values(first.bottom):
            for blob in end.top:
                root[id(blob)] = origin(first.bottom[0])
                if id(blob) in own:
                    own.add(id(root[id(blob)]))
    parts = list(_parts(chains, own | root.keys()))
    root |= {id(part.blob): origin(part.whole) for part in parts}
    for i, chain in enumerate(chains):
        for blob in (*chain.steps[0].bottom, *chain.steps[-1].top):
            last[id(origin(blob))] = i
    sizes: list[int] = []
    free: list[int] = []
    taken: dict[int, int] = {}
    storage = Storage(sizes, [], [], parts)
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


def _parts(chains: Sequence[Chain], settled: Iterable[int]) -> Iterator[Part]:
    """Yield the blobs that can be written where a layer would only copy them to.

    Args:
        settled: ids of blobs whose memory is settled.
    """
    barred, parts = set(settled), set()
    writers: dict[int, list[Chain]] = {}
    readers: dict[int, int] = {}
    for chain in chains:
        written = {id(blob) for blob in chain.steps[-1].top}
        for blob in chain.steps[-1].top:
            writers.setdefault(id(blob), []).append(chain)
        for blob in chain.steps[0].bottom:
            readers[id(blob)] = readers.get(id(blob), 0) + (id(blob) not in written)
    for chain in chains:
        first = chain.steps[0]
        axis = first.layer.gathers(first.bottom)
        if axis is None or id(first.top[0]) in parts:
            continue
        start = 0
        for blob in first.bottom:
            part, sources = Part(blob, first.top[0], axis, start), writers.get(id(blob), [])
            start += blob.shape[axis]
            alone = readers[id(blob)] == 1 and id(blob) not in barred
            if alone and (part.contiguous or (axis == 1 and _writes_apart(sources))):
                barred |= {id(blob), id(part.whole)}  # no part lies in a part
                parts.add(id(blob))
                yield part


def _writes_apart(writers: list[Chain]) -> bool:
    """Whether a blob is written by one chain, which can write images that lie apart."""
    if len(writers) != 1 or writers[0].pools:
        return False
    first = writers[0].steps[0]
    return first.layer.can_write_apart(first.bottom)


def forward_bytes(plan: Plan) -> int | None:
    """Return what parameters and blobs take in a forward pass that keeps inputs and outputs only.

    None where not all shapes are known. What kernels take for themselves does not count; it is
    the largest layer's reordered weights at most.
    """
    if any(step.trouble for step in plan.steps):
        return None
    kept = [plan.blobs[name] for name in (*plan.graph.inputs, *plan.graph.outputs)]
    values = share_out(for_inference(plan.steps, kept), kept).count
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
