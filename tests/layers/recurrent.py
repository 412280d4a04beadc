"""Checks that LSTM and RNN share: what a sequence does, cut in two or begun anew."""

import numpy as np
import pytest
from harness import build, forward

from protonet.errors import ProtonetError
from protonet.net import Net
from protonet.schema.read import parse_net

T, N, K, H = 5, 2, 3, 4
FILL = 'weight_filler { type: "gaussian" } bias_filler { type: "gaussian" }'
X, CONT = (T, N, K), (T, N)
BEGIN = np.ones(CONT)
BEGIN[0] = BEGIN[3, 1] = 0  # a second sequence begins in stream 1


def text(kind, more=""):
    return f'type: "{kind}" recurrent_param {{ num_output: {H} {FILL} {more} }}'


def check_state_is_carried(kind):
    """A sequence in two passes gives what it gives in one."""
    layer, bottom, top = build(text(kind), [X, CONT], values=[None, BEGIN])
    forward(layer, bottom, top)
    x, whole = bottom[0].data.copy(), top[0].data.copy()

    layer, bottom, top = build(text(kind), [(2, N, K), (2, N)])
    bottom[0].data[...], bottom[1].data[...] = x[:2], BEGIN[:2]
    forward(layer, bottom, top)
    np.testing.assert_allclose(top[0].data, whole[:2], rtol=1e-5, atol=1e-6)
    for blob, shape in zip(bottom, [(3, N, K), (3, N)], strict=True):
        blob.reshape(*shape)
    layer.reshape(bottom, top)
    bottom[0].data[...], bottom[1].data[...] = x[2:], BEGIN[2:]
    forward(layer, bottom, top)
    np.testing.assert_allclose(top[0].data, whole[2:], rtol=1e-5, atol=1e-6)


def check_kept_weights(kind):
    """Rearranged weights are kept while they stay what they are, and the streams so many."""

    def build_net(streams):
        shapes = f"shape {{ dim: {T} dim: {streams} dim: {K} }} shape {{ dim: {T} dim: {streams} }}"
        return Net(
            parse_net(
                f'layer {{ type: "Input" top: "x" top: "cont" input_param {{ {shapes} }} }}'
                f'layer {{ name: "r" bottom: "x" bottom: "cont" top: "y" {text(kind)} }}'
            )
        )

    def expected(net, x, cont):
        fresh = build_net(x.shape[1])
        for mine, theirs in zip(net.params["r"], fresh.params["r"], strict=True):
            theirs.data[...] = mine.values
        return fresh.forward(x=x, cont=cont)["y"]

    net = build_net(2)
    for streams, factor in ((2, 1), (2, 3), (6, 1), (6, 2)):
        for blob in net.params["r"] if factor != 1 else ():
            blob.data[...] *= factor
        x, cont = np.random.default_rng(0).standard_normal((T, streams, K)), np.ones((T, streams))
        cont[0] = 0  # no state is carried over
        net.blobs["x"].reshape(*x.shape)
        net.blobs["cont"].reshape(*cont.shape)
        for _ in range(3):
            y = net.forward(x=x, cont=cont)["y"]
        assert net.layers[-1]._kept._values is not None
        np.testing.assert_array_equal(y, expected(net, x, cont))


def check_beginning_forgets(kind):
    """Where cont is 0, nothing before matters."""
    layer, bottom, top = build(text(kind), [X, CONT], values=[None, BEGIN])
    forward(layer, bottom, top)
    before = top[0].data.copy()
    bottom[0].data[:3] += 1
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data[3:, 1], before[3:, 1])
    assert (top[0].data[3:, 0] != before[3:, 0]).any()


def check_exposed(kind, states):
    """Given states are gone on from; the last ones are given out; no gradient reaches them."""
    shapes = [X, CONT, *[(1, N, H)] * states]
    layer, bottom, top = build(
        text(kind, "expose_hidden: true"), shapes, tops=1 + states, values=[None, np.ones(CONT)]
    )
    forward(layer, bottom, top)
    last, y = [b.data.copy() for b in top[1:]], top[0].data.copy()
    assert [b.shape for b in top] == [(T, N, H), *[(1, N, H)] * states]
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data, y)  # nothing is carried over
    for blob, values in zip(bottom[2:], last, strict=True):
        blob.data[...] = values
        blob.diff[...] = 7
    forward(layer, bottom, top)
    assert (top[0].data != y).any()
    layer.backward(top, [True, False, *[True] * states], bottom)
    assert all((b.diff == 0).all() for b in bottom[2:])


def check_refused(kind, states):
    name = rf"layer 'under_test' \({kind}\): "
    refused = [
        (text(kind), [X, (T, 3)], r"cont \(T, N\), got shapes \(5, 2, 3\) and \(5, 3\)"),
        (text(kind), [(T,), (T,)], r"x \(T, N, ...\)"),
        (text(kind), [X, CONT, (3, 6)], r"2 streams in its first axis, .* got shape \(3, 6\)"),
        (text(kind), [X, CONT, (N, 6), (N, 6)], "got 4 bottoms and 1 tops"),
        (text(kind, "expose_hidden: true"), [X, CONT], f"and {states} states"),
        (f'type: "{kind}"', [X, CONT], "num_output must be at least 1, got 0"),
    ]
    for prototxt, shapes, message in refused:
        with pytest.raises(ProtonetError, match=f"{name}.*{message}"):
            build(prototxt, shapes)
    with pytest.raises(ProtonetError, match=r"a state of shape \(1, 2, 4\), got shape \(1, 2, 5\)"):
        exposed = [X, CONT, *[(1, N, H + 1)] * states]
        build(text(kind, "expose_hidden: true"), exposed, tops=1 + states)
    layer, bottom, top = build(text(kind), [X, CONT, (N, 6)])
    bottom[0].reshape(T, N, K + 1)
    with pytest.raises(ProtonetError, match=r"expected 3 values a step, .* \(5, 2, 4\)"):
        layer.reshape(bottom, top)
    bottom[0].reshape(*X)
    bottom[2].reshape(N, 7)
    with pytest.raises(ProtonetError, match=r"expected 6 static values, .* \(2, 7\)"):
        layer.reshape(bottom, top)
    with pytest.raises(ProtonetError, match="no gradient can flow into bottom 1"):
        layer.backward(top, [True, True, False], bottom)
