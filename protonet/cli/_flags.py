"""Caffe's flags beside ours: with one dash or two, ``=`` or a space, ``-`` or ``_`` in the name.

``caffe train -solver=s.prototxt -sigint_effect stop`` and ``protonet train s.prototxt
--sigint-effect stop`` say the same. Arguments are brought into the one form that click knows
before it sees them. What is a flag, and whether a value follows it, is what the command declares:
nothing is listed twice.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

import click

from protonet.errors import SnapshotError

PHASES = {"train": 0, "test": 1}

# Two letters or more: "-h" and negative numbers are not flags of Caffe's kind.
_FLAG = re.compile(r"--?([A-Za-z][\w-]+)(?:=(.*))?", re.DOTALL)

# How gflags spell the two values of a switch.
_TRUE, _FALSE = ("true", "t", "1", "yes", "y"), ("false", "f", "0", "no", "n")

Declared = TypeVar("Declared", bound=Callable[..., Any])


class FlagArgument(click.Argument):
    """The first argument of a command, which Caffe's command line gives by a flag.

    Args:
        flag: name of that flag, without dashes.
    """

    def __init__(self, declarations: list[str], *, flag: str, **attributes: Any) -> None:
        super().__init__(declarations, **attributes)
        self.flag = flag


class OptionalValue(click.Option):
    """An option that may stand alone: then its value is "".

    Args:
        alone: the one of its names that may; the others, which are Caffe's, take a value.
        endings: what follows it, without ``=``, is its value if it ends so.
    """

    def __init__(
        self, declarations: list[str], *, alone: str, endings: tuple[str, ...], **attributes: Any
    ) -> None:
        super().__init__(declarations, **attributes)
        self.alone = alone
        self.endings = endings

    def stands_alone(self, name: str, following: str | None) -> bool:
        """Whether the option, under that name, has no value."""
        return name == self.alone and not (following or "").endswith(self.endings)


class CaffeCommand(click.Command):
    """A command that takes its options the way Caffe's tools do, besides click's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._in_clicks_form(ctx, args))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("As with Caffe's tools"):
            rows = [
                (f"--{p.flag} {p.make_metavar(ctx)}", f"The {p.make_metavar(ctx)} above.")
                for p in self.params
                if isinstance(p, FlagArgument)
            ]
            if rows:
                formatter.write_dl(rows)
            formatter.write_text(
                "Options may have one dash or two, '=' or a space before the value."
            )

    def _flags(self, ctx: click.Context) -> dict[str, tuple[str, click.Parameter]]:
        """Return what may follow the dashes: how click knows the option, and the option."""
        flags: dict[str, tuple[str, click.Parameter]] = {}
        for param in self.get_params(ctx):
            if isinstance(param, FlagArgument):
                flags[_plain(param.flag)] = (f"--{param.flag}", param)
            elif isinstance(param, click.Option):
                flags.update((_plain(name), (name, param)) for name in param.opts)
                for name in param.secondary_opts:  # --no-gray, which gflags call -nogray
                    flags[_plain(name)] = flags[_plain(name).replace("no_", "no", 1)] = name, param
        return flags

    def _in_clicks_form(self, ctx: click.Context, args: Iterable[str]) -> list[str]:
        flags = self._flags(ctx)
        first: list[str] = []
        others: list[str] = []
        rest = deque(args)
        while rest:
            arg = rest.popleft()
            match = _FLAG.fullmatch(arg)
            if arg == "--":
                others += [arg, *rest]
                break
            elif match is None:
                others.append(arg)
            elif _plain(match[1]) not in flags:
                close = get_close_matches(_plain(match[1]), list(flags))
                names = [flags[name][0] for name in close]
                raise click.NoSuchOption(f"--{match[1]}", possibilities=names, ctx=ctx)
            else:
                name, param = flags[_plain(match[1])]
                value = match[2]
                if isinstance(param, FlagArgument):
                    first.append(_needed(name, value, rest))
                elif isinstance(param, click.Option) and param.is_flag:
                    others.append(_switch(name, value, param))
                elif (
                    isinstance(param, OptionalValue)
                    and value is None
                    and param.stands_alone(name, rest[0] if rest else None)
                ):
                    others += [name, ""]
                else:
                    others += [name, _needed(name, value, rest)]
        return first + others


def _switch(name: str, value: str | None, option: click.Option) -> str:
    """Return the form of a flag that takes no value, of which gflags know ``-gray=false``."""
    if value is None:
        return name
    opposite = option.opts if name in option.secondary_opts else option.secondary_opts
    if value.lower() in _TRUE:
        return name
    return opposite[0] if value.lower() in _FALSE and opposite else f"{name}={value}"


def _plain(name: str) -> str:
    return name.lstrip("-").replace("-", "_")


def _needed(name: str, value: str | None, rest: deque[str]) -> str:
    """Return the value of an option, which is the next argument if it was not behind ``=``."""
    if value is None and rest:
        value = rest.popleft()
    if value is None:
        raise click.UsageError(f"Option '{name}' requires an argument.")
    return value


# --- options that several commands have -------------------------------------------------------
def phase_option(default: str | None) -> Callable[[Declared], Declared]:
    """Declare ``--phase``; the command gets 0 for TRAIN, 1 for TEST, or None."""
    return click.option(
        "--phase",
        type=click.Choice(list(PHASES), case_sensitive=False),
        default=default,
        show_default=default is not None,
        callback=lambda ctx, param, value: None if value is None else PHASES[value],
        help="The phase whose layers run.",
    )


def state_options(command: Declared) -> Declared:
    """Declare ``--level`` and ``--stage``, the rest of the state that chooses layers."""
    stage = click.option(
        "--stage",
        "stages",
        multiple=True,
        metavar="NAME[,NAME]...",
        callback=lambda ctx, param, value: tuple(n for text in value for n in parts(text)),
        help="Stages of the state; may be repeated.",
    )
    level = click.option("--level", type=int, help="The level of the state that chooses layers.")
    return level(stage(command))


def threads_option(command: Declared) -> Declared:
    """Declare ``--threads``, which takes effect by itself."""

    def use(ctx: click.Context, param: click.Parameter, count: int | None) -> None:
        from protonet.kernels import threads

        if count is not None:
            threads.set_count(count)

    return click.option(
        "--threads",
        type=click.IntRange(min=1),
        expose_value=False,
        callback=use,
        help="Threads.  [default: all cores]",
    )(command)


def python_layers_option(default: bool | None) -> Callable[[Declared], Declared]:
    """Declare ``--allow-python-layers``, which takes effect by itself while the command runs.

    Args:
        default: None for a command that only runs layers without its eager option ``static``.
    """

    def allow(ctx: click.Context, param: click.Parameter, value: bool | None) -> None:
        from protonet.layers import python

        if value is None:
            value = not ctx.params["static"]

        before, python.ALLOW = python.ALLOW, value
        ctx.call_on_close(lambda: setattr(python, "ALLOW", before))

    return click.option(
        "--allow-python-layers/--no-allow-python-layers",
        default=default,
        show_default=True if default is not None else "allowed, but not with --static",
        expose_value=False,
        callback=allow,
        help="Load and run layers of type Python, which are code that the file names.",
    )


def gpu_option(command: Declared) -> Declared:
    """Declare Caffe's ``--gpu``, which is answered by :func:`gpu_note`."""
    return click.option("--gpu", metavar="IDS", help="Noted, then all runs on the CPU.")(command)


def gpu_note(ids: str) -> str:
    """Return what to tell who asked for a GPU."""
    return f"--gpu {ids}: there is no code for GPUs here, all runs on the CPU"


def parts(text: str) -> list[str]:
    """Return what commas separate, without blanks around it."""
    return [part for part in (piece.strip() for piece in text.split(",")) if part]


def weight_files(text: str) -> list[str]:
    """Return the files of ``--weights a.caffemodel,b.caffemodel``, of which each must exist.

    Raises:
        SnapshotError: one does not, or none is named.
    """
    from pathlib import Path

    files = parts(text)
    if not files:
        raise SnapshotError(f"--weights: expected names of files, got '{text}'")
    for file in files:
        if not Path(file).exists():
            raise SnapshotError(f"{file}: no such file")
    return files
