"""The command line: one file per command, loaded when it is called for."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import click

from protonet import __version__
from protonet.errors import ProtonetError

USAGE_ERROR = 2
INTERRUPTED = 130


_CAFFES_NAMES = {"device_query": "device"}  # verbs of Caffe's that are called otherwise here


class _Commands(click.Group):
    """Finds commands as modules of this package, each with a ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = (module.name for module in pkgutil.iter_modules(__path__))
        return sorted(name for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        name = _CAFFES_NAMES.get(name, name)
        if name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"{__name__}.{name}").command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="protonet")
def cli() -> None:
    """Run Caffe's .prototxt files: train, test, convert and explain nets.

    \b
    protonet train models/lenet_dsn.prototxt     train a net, or what a solver says
    protonet test NET --weights W.caffemodel     score it
    protonet summary models/lenet.prototxt       its layers, shapes and costs
    protonet draw models/lenet_dsn.prototxt      a diagram of it

    Caffe's own command lines work as they are, with "protonet" for "caffe":
    protonet train -solver=s.prototxt -gpu 0, protonet time -model n.prototxt.
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line; errors of ours are one line on standard error and exit code 2."""
    try:
        code = cli.main(args, prog_name="protonet", standalone_mode=False)
    except ProtonetError as error:
        print(f"protonet: {error}", file=sys.stderr)
        code = USAGE_ERROR
    except click.UsageError as error:
        message = error.format_message()
        print(f"protonet: {message[:1].lower()}{message[1:].rstrip('.')}", file=sys.stderr)
        code = USAGE_ERROR
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        code = INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has gone, as in `protonet summary NET | head`
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
