"""Caffe's flags beside ours: dashes, equals signs, names, and that nothing else is swallowed."""

import click
import pytest

from protonet.cli._flags import CaffeCommand, FlagArgument, parts, phase_option, state_options


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
    (["s", "-wieghts", "a"], "No such option"),
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


def test_help_names_the_flag_of_the_argument(capsys):
    run(["--help"])
    out = capsys.readouterr().out
    assert "--solver FILE" in out
    assert "one dash or two" in out


def test_parts():
    assert parts(" a ,b,, c,") == ["a", "b", "c"]
