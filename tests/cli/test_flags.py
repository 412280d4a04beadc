"""Caffe's flags beside ours: dashes, equals signs, names, and that nothing else is swallowed."""

import os
import signal

import click
import numpy as np
import pytest
from places import MODELS, REFERENCE

import protonet
from protonet.cli._flags import CaffeCommand, FlagArgument, parts, phase_option, state_options
from protonet.schema.read import read_solver
from protonet.watch.glog import GlogReporter


@click.command(cls=CaffeCommand)
@click.argument("file", cls=FlagArgument, flag="solver")
@click.argument("rest", nargs=-1)
@click.option("--weights")
@click.option("--resume", "--snapshot", "resume")
@click.option("--sigint_effect")
@click.option("--quiet", is_flag=True)
@click.option("--gray/--no-gray")
@phase_option("test")
@state_options
def sample(**values):
    """Do nothing."""
    return values


DEFAULTS = {
    "file": "s",
    "rest": (),
    "weights": None,
    "resume": None,
    "sigint_effect": None,
    "quiet": False,
    "gray": False,
    "phase": 1,
    "level": None,
    "stages": (),
}

SPELLINGS = [  # arguments, what differs from the defaults
    (["s"], {}),
    (["--solver=s"], {}),
    (["-solver=s"], {}),
    (["--solver", "s"], {}),
    (["-solver", "s"], {}),
    (["base_lr=1", "-solver", "s"], {"rest": ("base_lr=1",)}),
    (["-weights", "a,b", "s"], {"weights": "a,b"}),
    (["-weights=a=b", "s"], {"weights": "a=b"}),
    (["-weights=", "s"], {"weights": ""}),
    (["-weights", "-solver", "s"], {"weights": "-solver"}),
    (["-snapshot", "x.solverstate", "s"], {"resume": "x.solverstate"}),
    (["-sigint_effect", "stop", "s"], {"sigint_effect": "stop"}),
    (["--sigint-effect=stop", "s"], {"sigint_effect": "stop"}),
    (["s", "-quiet"], {"quiet": True}),
    (["s", "-gray"], {"gray": True}),
    (["s", "--gray=true"], {"gray": True}),
    (["s", "-gray", "-gray=false"], {}),
    (["s", "-gray", "-nogray"], {}),
    (["s", "-gray", "-no-gray"], {}),
    (["s", "-no_gray=0"], {"gray": True}),
    (["s", "-quiet=true"], {"quiet": True}),
    (["-phase", "TRAIN", "s"], {"phase": 0}),
    (["-level", "-3", "s"], {"level": -3}),
    (["-stage", "a, b", "--stage=c", "s"], {"stages": ("a", "b", "c")}),
    (["s", "--", "-weights"], {"rest": ("-weights",)}),
]


def run(args):
    return sample.main(list(args), standalone_mode=False)


@pytest.mark.parametrize("args, changed", SPELLINGS, ids=[" ".join(s[0]) for s in SPELLINGS])
def test_spellings(args, changed):
    assert run(args) == DEFAULTS | changed


MISTAKES = [
    (["s", "-wieghts", "a"], "No such option '--wieghts'. Did you mean '--weights'"),
    (["s", "-weights"], "Option '--weights' requires an argument"),
    (["-solver"], "Option '--solver' requires an argument"),
    ([], "Missing argument 'FILE'"),
    (["s", "-quiet=loud"], "does not take a value"),
    (["s", "-phase", "TRIAN"], "'TRIAN' is not one of 'train', 'test'"),
    (["s", "-level", "high"], "'high' is not a valid integer"),
]


@pytest.mark.parametrize("args, message", MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_mistakes(args, message):
    with pytest.raises(click.UsageError) as caught:
        run(args)
    assert message in caught.value.format_message()


@pytest.mark.parametrize("flag", ["--help", "-help"])
def test_help_names_the_flag_of_the_argument(capsys, flag):
    run([flag])
    out = capsys.readouterr().out
    assert "--solver FILE" in out
    assert "one dash or two" in out


def test_parts():
    assert parts(" a ,b,, c,") == ["a", "b", "c"]


# --- train as Caffe's command line has it ---------------------------------------------------------
def test_train_with_caffes_flags(cli, small_mnist):
    weights = REFERENCE / "nets/lenet_init.caffemodel"
    (small_mnist / "s.prototxt").write_text(
        f'net: "{MODELS / "lenet.prototxt"}" base_lr: 0 lr_policy: "fixed" solver_mode: GPU '
        "device_id: 1 max_iter: 50"
    )
    result = cli(
        *("train", "-solver=s.prototxt", "-weights", f"{weights},{weights}", "-iterations", 2),
        *("-level", 1, "-stage", "a,b", "-gpu", "0", "-sigint_effect", "none", "-out", "run"),
    )
    assert result.code == 0, result.err
    notes = [line for line in result.err.splitlines() if "no code for GPUs" in line]
    assert len(notes) == 1
    assert "--gpu 0: " in notes[0]
    solver = read_solver("run/solver.prototxt").message
    assert solver.weights == [str(weights)] * 2
    assert (solver.train_state.level, solver.train_state.stage) == (1, ["a", "b"])
    assert solver.max_iter == 2
    assert not solver.HasField("solver_mode") and not solver.HasField("device_id")
    net = protonet.Net(MODELS / "lenet.prototxt", weights="run/s_iter_2.caffemodel")
    with np.load(REFERENCE / "nets/init.npz") as initial:
        np.testing.assert_array_equal(net.params["ip1"][0].data, initial["param/ip1/0"])


def test_snapshot_resumes_and_takes_the_place_of_weights(cli, small_mnist):
    first = cli("train", MODELS / "lenet.prototxt", "max_iter=2", "--out", "a")
    assert first.code == 0, first.err
    (small_mnist / "s.prototxt").write_text(
        (small_mnist / "a/solver.prototxt").read_text() + 'weights: "gone.caffemodel"'
    )
    result = cli(
        *("train", "--solver", "s.prototxt", "-snapshot", "a/lenet_iter_2.solverstate"),
        *("max_iter=3", "--out", "b"),
    )
    assert result.code == 0, result.err
    assert "weights: a/lenet_iter_3.caffemodel" in result.out


def test_nothing_is_left_of_a_run_that_cannot_begin(cli, small_mnist):
    (small_mnist / "s.prototxt").write_text('net: "gone.prototxt" base_lr: 1 lr_policy: "fixed"')
    before = sorted(small_mnist.iterdir())
    for args in (["--weights", "w.caffemodel"], ["-stage", "a"], ["--resume", "x.solverstate"]):
        assert cli("train", "s.prototxt", "--out", "run", *args).code == 2
        assert sorted(small_mnist.iterdir()) == before


TRAIN_MISTAKES = [
    (["--weights", "a", "--snapshot", "b"], "give --weights to start from or --resume to go on"),
    (["-weights", "a,b"], "a: no such file"),
    (["-sigint_effect", "explode"], "'explode' is not one of 'stop', 'snapshot', 'none'"),
    (["-iterations", "-1"], "-1 is not in the range x>=0"),
    (["-model", "n.prototxt"], "no such option '--model'"),
]


@pytest.mark.parametrize("args, message", TRAIN_MISTAKES, ids=[m[0][0] for m in TRAIN_MISTAKES])
def test_mistakes_with_train(cli, args, message):
    assert message in cli("train", MODELS / "lenet.prototxt", *args).error()


EFFECTS = [  # signal, flags, whether training goes on after it, whether a snapshot is taken
    ("SIGINT", [], False, True),
    ("SIGINT", ["-sigint_effect=snapshot"], True, True),
    ("SIGINT", ["-sigint_effect=none"], True, False),
    ("SIGHUP", [], True, True),
    ("SIGHUP", ["-sighup_effect", "stop"], False, True),
    ("SIGHUP", ["-sighup_effect", "none"], True, False),
]


@pytest.mark.parametrize(
    "name, flags, goes_on, saves", EFFECTS, ids=[" ".join([e[0], *e[1]]) for e in EFFECTS]
)
def test_signals(cli, small_mnist, monkeypatch, name, flags, goes_on, saves):
    """The signal comes in iteration 3 of 6."""

    def send(reporter, solver):
        if solver.iter == 3:
            os.kill(os.getpid(), getattr(signal, name))

    monkeypatch.setattr(GlogReporter, "iteration", send)
    result = cli(
        *("train", MODELS / "lenet.prototxt", "max_iter=6", "snapshot_after_train=true"),
        *("--out", "run", *flags),
    )
    assert result.code == 0, result.err
    states = sorted(path.name for path in (small_mnist / "run").glob("*.solverstate"))
    at_signal = [] if goes_on and not saves else ["lenet_iter_3.solverstate"]
    assert states == at_signal + (["lenet_iter_6.solverstate"] if goes_on else [])
    assert ("stopped after 3 iterations" in result.out) is not goes_on


def test_a_stop_within_a_test(cli, small_mnist, monkeypatch):
    def send(reporter, solver, index):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(GlogReporter, "testing", send)
    result = cli(
        *("train", MODELS / "lenet_dsn.prototxt", "max_iter=6", "test_interval=2"),
        *("snapshot_after_train=false", "--out", "run"),
    )
    assert result.code == 0, result.err
    assert "Test interrupted." in result.err
    assert "stopped after 2 iterations; no snapshot was taken" in result.out
