"""Steps of recurrent layers: against plain NumPy, at the edges of tiles; bits over threads."""

import numpy as np
import pytest

from protonet.kernels import recurrent, threads
from protonet.kernels.kept import Kept

T = 3


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain(cell, w, z, cont, first, cells):
    """Return the gates, cells, h and h before each step."""
    H = first.shape[1]
    h, c, out = first.astype(float), cells[0].astype(float), []
    for t in range(T):
        before = cont[t][:, None] * h
        s = z[t] + before @ w.T.astype(float)
        if cell == "lstm":
            s[:, : 3 * H], s[:, 3 * H :] = sigmoid(s[:, : 3 * H]), np.tanh(s[:, 3 * H :])
            i, f, o, g = np.split(s, 4, axis=1)
            c = cont[t][:, None] * f * c + i * g
            h = o * np.tanh(c)
        else:
            h = np.tanh(s)
        out.append((s, c, h, before))
    return [np.stack(part) for part in zip(*out, strict=True)]


def problem(cell, N, H):
    rng = np.random.default_rng(N * H)
    gates = 4 if cell == "lstm" else 1

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    cont = np.ones((T, N), np.float32)
    cont[0, N // 2] = cont[2, 0] = 0
    cells = draw(T + 1, N, H if cell == "lstm" else 0)
    w = draw(gates * H, H) / np.float32(H**0.5)
    return w, draw(T, N, gates * H), cont, draw(N, H), cells


def run(cell, N, H):
    w, z, cont, first, cells = problem(cell, N, H)
    h, before, dz = (np.full((T, N, width), np.nan, np.float32) for width in (H, H, len(w)))
    recurrent.forward(cell, w, z, cont, first, cells, h, before, Kept())
    dh = np.random.default_rng(1).standard_normal(h.shape).astype(np.float32)
    recurrent.backward(cell, w, z, cont, cells, h, dh, dz)
    return z, cells[1:], h, before, dz, dh


SIZES = [(1, 5), (2, 130), (3, 70), (4, 16), (8, 48), (13, 33), (21, 100), (25, 33), (30, 70)]


@pytest.mark.parametrize(("N", "H"), SIZES)
@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_forward(cell, N, H):
    gates, cells, h, before, _, _ = run(cell, N, H)
    wanted = plain(cell, *problem(cell, N, H))
    np.testing.assert_allclose(h, wanted[2], atol=3e-6)
    np.testing.assert_allclose(before, wanted[3], atol=3e-6)
    if cell == "lstm":
        np.testing.assert_allclose(gates, wanted[0], atol=3e-6)
        np.testing.assert_allclose(cells, wanted[1], atol=6e-6)


@pytest.mark.parametrize(("N", "H"), SIZES)
@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_backward(cell, N, H):
    """dz along some direction is how fast the weighted sum of h changes that way."""
    *_, dz, dh = run(cell, N, H)
    w, z, cont, first, cells = problem(cell, N, H)
    way = np.random.default_rng(2).standard_normal(z.shape)
    step = 1e-5
    up, down = (
        np.sum(plain(cell, w, z + s * step * way, cont, first, cells)[2] * dh) for s in (1, -1)
    )
    assert np.sum(dz * way) == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("N", "H"), [(3, 400), (37, 20)])
@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_same_bits_for_any_number_of_threads(cell, N, H, monkeypatch):
    monkeypatch.setattr(recurrent, "BLOCK_WORK", 1)
    before, results = threads.count(), []
    try:
        for count in (1, 2, 3, 5):
            threads.set_count(count)
            results.append(b"".join(a.tobytes() for a in run(cell, N, H)))
    finally:
        threads.set_count(before)
    assert len(set(results)) == 1
