"""One sigmoid neuron from a badly wrong start: squared loss against cross-entropy.

With the squared loss dL/dz = (y - t) y (1 - y), which is small where the neuron is wrong and sure
of it; with cross-entropy dL/dz = y - t. Start and rates as in M. Nielsen, "Neural networks and deep
learning" (2015), chapter 3.
"""

from __future__ import annotations

from protonet.solvers.solver import Solver
from protonet.study.study import Bench, Outcome, study
from protonet.watch import figures

_HALF = 0.5
_LOSSES = {"squared loss": "neuron_squared", "cross-entropy": "neuron_cross_entropy"}


@study(
    "neuron",
    1,
    "a neuron that is badly wrong learns slowly with the squared loss, and fast with cross-entropy",
)
def run(bench: Bench) -> Outcome:
    iterations = bench.pick(300, 600)
    outputs = {name: _outputs(bench, net, iterations) for name, net in _LOSSES.items()}
    reached = {
        name: next((i for i, y in enumerate(ys) if y < _HALF), None) for name, ys in outputs.items()
    }
    with figures.figure(bench.figure, 1, 1, (6, 3.4)) as (_, axes):
        axis = axes[0, 0]
        for name, ys in outputs.items():
            axis.plot(range(len(ys)), ys, label=name)
        axis.axhline(0, color="k", lw=0.6)
        axis.set(title="Output of the neuron; it should be 0", ylim=(-0.02, 1))
        axis.legend()
        figures.scale_iterations(axis)
    slow, fast = (reached[name] for name in _LOSSES)
    rows = [
        (name, f"{ys[0]:.3f}", "never" if reached[name] is None else str(reached[name]),
         f"{ys[-1]:.3f}")
        for name, ys in outputs.items()
    ]  # fmt: skip
    told = "does not get" if slow is None else f"takes {slow} iterations to get"
    finding = f"The neuron {told} below 0.5 with the squared loss"
    finding += f", {fast} with cross-entropy." if fast is not None else ", nor with cross-entropy."
    supported = fast is not None and (slow is None or slow > 2 * fast)
    return Outcome(finding, supported, ("loss", "first output", "below 0.5 after", "last"), rows)


def _outputs(bench: Bench, net: str, iterations: int) -> list[float]:
    ys: list[float] = []

    def watch(solver: Solver) -> None:
        output = solver.net.blobs["y"]
        solver.add_callback(lambda: None, lambda: ys.append(float(output.data.reshape(-1)[0])))

    bench.train(
        net,
        1,
        f"max_iter={iterations}",
        "base_lr=0.15",
        "lr_policy=fixed",
        "momentum=0",
        "weight_decay=0",
        gradients=False,
        prepare=watch,
    )
    return ys
