"""``protonet data``: make databases for nets to read."""

from __future__ import annotations

import os

import click


@click.group(name="data")
def command() -> None:
    """Make databases for nets to read."""


@command.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option(
    "--backend",
    type=click.Choice(["lmdb", "leveldb", "both"]),
    default="lmdb",
    show_default=True,
    help="Kind of database.",
)
def mnist(folder: str, backend: str) -> None:
    """Write MNIST (60,000 + 10,000 digits) into DIR as mnist_train_lmdb and mnist_test_lmdb.

    The images ship with protonet: nothing is downloaded. What exists is not overwritten.
    """
    from protonet.data.mnist import COUNTS, records
    from protonet.data.writer import KINDS, refuse_existing, write_database

    kinds = KINDS if backend == "both" else (backend,)
    jobs = [
        (os.path.join(folder, f"mnist_{part}_{kind}"), part, kind)
        for kind in kinds
        for part in COUNTS
    ]
    for path, _, _ in jobs:
        refuse_existing(path)
    for path, part, kind in jobs:
        count = write_database(path, kind, records(part))
        click.echo(f"{path}: {count:,} records")
