"""Plain SGD against momentum, on the same net from the same start.

Momentum: v ← αv − ε ∂L/∂w, w ← w + v. Both paths are drawn in the plane that holds most of them:
the first two principal directions of all the weights that they went through.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.lab import Training
from protonet.layer import TRAIN
from protonet.net import Net
from protonet.schema.read import read_net
from protonet.solvers.solver import Solver
from protonet.spread import Spread, difference
from protonet.study import pairs
from protonet.study.study import Bench, Outcome, model, study
from protonet.watch import figures

_KINDS = {"plain SGD": 0.0, "momentum 0.9": 0.9}
_STOPS = 40  # points of a path


@study("momentum", 9, "momentum gets further than plain SGD in as many iterations")
def run(bench: Bench) -> Outcome:
    seeds = range(1, bench.pick(3, 5) + 1)
    iterations = bench.pick(150, 1000)
    test = (f"test_interval={iterations}", f"test_iter={bench.pick(20, 100)}")
    fields = (f"max_iter={iterations}", "lr_policy=fixed", *test)
    runs: dict[str, list[Training]] = {}
    paths: dict[str, Any] = {}
    for name, momentum in _KINDS.items():
        for seed in seeds:
            path: list[Any] = []
            training = bench.train(
                "lenet_softmax",
                seed,
                f"momentum={momentum}",
                *fields,
                gradients=False,
                prepare=lambda solver, path=path: _follow(solver, path, iterations),
            )
            runs.setdefault(name, []).append(training)
            path.append(training.solver.net.param_data.copy())
            paths.setdefault(name, np.stack(path))
    centre, plane = _plane(np.concatenate(list(paths.values())))
    flat = {name: (path - centre) @ plane.T for name, path in paths.items()}
    loss, extent = _slice(centre, plane, np.concatenate(list(flat.values())), bench.pick(9, 25))
    with figures.figure(bench.figure, 1, 2, (10.5, 3.9)) as (_, axes):
        ground, curves = axes[0]
        ground.imshow(
            np.log(loss), origin="lower", extent=extent, aspect="auto", cmap="Greys", alpha=0.8
        )
        for (name, way), colour in zip(flat.items(), figures.COLOURS, strict=False):
            ground.plot(*way.T, color=colour, marker="o", ms=2.5, label=name)
            many = [r.history.curve(r.history.train, "loss") for r in runs[name]]
            smooth = [(xs, list(figures.smooth(ys, 30))) for xs, ys in many]
            figures.band(curves, smooth, colour, name)
        ground.plot(*next(iter(flat.values()))[0], "k*", ms=10)
        ground.set(title="Ways from the start (star); dark: large loss")
        ground.grid(False)
        curves.set(title=f"Training loss, {len(seeds)} seeds")
        figures.plain_log(curves)
        figures.scale_iterations(curves)
        for axis in axes[0]:
            axis.legend()
    errors = {name: pairs.last_errors(many) for name, many in runs.items()}
    plain, moved = errors.values()
    apart = difference(moved, plain)
    finding = (
        f"After {iterations:,} iterations the test error is {Spread.of(moved).text()} % with "
        f"momentum 0.9 and {Spread.of(plain).text()} % with plain SGD: {apart.text()} points."
    )
    rows = [(name, Spread.of(values).text()) for name, values in errors.items()]
    supported = apart.value < 0 if apart.clear else None
    return Outcome(finding, supported, ("rule", "test error %"), rows)


def _follow(solver: Solver, path: list[Any], iterations: int) -> None:
    every = max(1, iterations // _STOPS)

    def note() -> None:
        if solver.iter % every == 0:
            path.append(solver.net.param_data.copy())

    solver.add_callback(note, lambda: None)


def _plane(points: Any) -> tuple[Any, Any]:
    """Return the middle of some points (n, d), and the (2, d) directions in which they spread."""
    centre = points.mean(axis=0)
    _, _, directions = np.linalg.svd(points - centre, full_matrices=False)
    return centre, directions[:2]


def _slice(centre: Any, plane: Any, flat: Any, side: int) -> tuple[Any, tuple[float, ...]]:
    """Return the loss of one large batch on a grid in the plane, and the grid's extent."""
    net = Net(read_net(model("lenet_softmax")), TRAIN)
    net.run_forward()
    names = [step.node.name for step in net.steps]
    after_data = range(names.index("conv1"), len(names))
    low, high = flat.min(axis=0), flat.max(axis=0)
    margin = 0.15 * (high - low)
    xs, ys = (np.linspace(a, b, side) for a, b in zip(low - margin, high + margin, strict=True))
    loss = np.empty((side, side))
    for i, y in enumerate(ys):
        for j, x in enumerate(xs):
            net.param_data[...] = centre + x * plane[0] + y * plane[1]
            loss[i, j] = net.run_forward(after_data)
    net.close()
    return loss, (xs[0], xs[-1], ys[0], ys[-1])
