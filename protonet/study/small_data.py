"""Deep supervision's test error against plain, over several seeds and training sets."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from protonet.data import mnist
from protonet.data.writer import write_database
from protonet.schema.read import NetSource, read_net
from protonet.spread import Spread, difference
from protonet.study import pairs
from protonet.study.study import Bench, Outcome, model, study
from protonet.watch import figures

_NETS = {"LeNet": "lenet", "LeNet-DSN": "lenet_dsn"}
_WHOLE = 60_000


@study("small_data", 6, "deep supervision lowers the test error, above all on small training sets")
def run(bench: Bench) -> Outcome:
    sizes = bench.pick((500, 1000), (500, 1000, 5000, _WHOLE))
    seeds = range(1, bench.pick(2, 5) + 1)
    iterations = bench.pick(250, 3000)
    test = f"test_iter={bench.pick(50, 100)}"
    errors: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            for name, net in _NETS.items():
                source = _on_first(read_net(model(net)), size, Path(folder))
                fields = (f"max_iter={iterations}", f"test_interval={iterations}", test)
                runs = [bench.train(source, seed, *fields, gradients=False) for seed in seeds]
                errors[name, size] = pairs.last_errors(runs, "loss_accuracy")
    with figures.figure(bench.figure, 1, 1, (6, 3.6)) as (_, axes):
        axis = axes[0, 0]
        for name, colour in zip(_NETS, figures.COLOURS, strict=False):
            spreads = [Spread.of(errors[name, size]) for size in sizes]
            axis.errorbar(
                sizes,
                [s.mean for s in spreads],
                [s.deviation for s in spreads],
                color=colour,
                marker="o",
                ms=4,
                capsize=3,
                label=name,
            )
        axis.set(title=f"Test error, %, {len(seeds)} seeds", xscale="log")
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.set_xticks([], minor=True)
        axis.set_xlabel("training images")
        figures.plain_log(axis)
        axis.legend()
    plain, helped = _NETS
    apart = {s: difference(errors[helped, s], errors[plain, s]) for s in sizes}
    better = [s for s in sizes if apart[s].clear and apart[s].value < 0]
    worse = [s for s in sizes if apart[s].clear and apart[s].value > 0]
    told = "; ".join(f"{s:,} images: {apart[s].text()}" for s in sizes)
    finding = f"DSN's test error less LeNet's, in points, over {len(seeds)} seeds: {told}."
    rows = [
        (f"{s:,}", *(Spread.of(errors[n, s]).text() for n in _NETS), apart[s].text()) for s in sizes
    ]
    supported = None if not better and not worse else not worse and min(sizes) in better
    headings = ("images", *(f"{name}, error %" for name in _NETS), "difference")
    return Outcome(finding, supported, headings, rows)


def _on_first(source: NetSource, size: int, folder: Path) -> NetSource:
    """Return the net with a training source of the first records of MNIST."""
    if size == _WHOLE:
        return source
    path = folder / f"first{size}-train-lmdb"
    if not path.exists():
        write_database(str(path), "lmdb", itertools.islice(mnist.records("train"), size))
        # the sibling that the test net reads is the whole test set
        write_database(str(folder / f"first{size}-test-lmdb"), "lmdb", mnist.records("test"))
    message = type(source.message)()
    message.CopyFrom(source.message)
    for layer in message.layer:
        if layer.type == "Data":
            layer.data_param.source = str(path)
            layer.data_param.backend = layer.data_param.LMDB
    return NetSource(message, source.path, source.lines)
