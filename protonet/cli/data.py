"""``protonet data``: make databases for nets to read, and look into them."""

from __future__ import annotations

import os
from typing import Any

import click

from protonet.cli._flags import CaffeCommand

_LABELS_SHOWN = 100  # more than these are summed up in one line
_KIND = click.Choice(["lmdb", "leveldb"])


@click.group(name="data")
def command() -> None:
    """Make databases for nets to read, and look into them."""


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


@command.command(cls=CaffeCommand)
@click.argument("paths", metavar="[ROOT] IMAGES DB", nargs=-1, type=click.Path())
@click.option("--backend", type=_KIND, default="lmdb", show_default=True, help="Kind of database.")
@click.option("--resize", metavar="HxW", help="Resize to this height and width.")
@click.option("--resize-height", type=click.IntRange(min=0), default=0, help="The same, by axis.")
@click.option("--resize-width", type=click.IntRange(min=0), default=0, help="The same, by axis.")
@click.option("--gray/--no-gray", help="One channel in place of three.")
@click.option("--shuffle/--no-shuffle", help="Write the images in a random order.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of that order.")
@click.option("--encoded/--no-encoded", help="Keep images as PNG or JPEG, not as pixels.")
@click.option(
    "--encode-type",
    type=click.Choice(["png", "jpg", "jpeg"]),
    help="How; otherwise as each file's name says. Implies --encoded.",
)
@click.option("--check-size/--no-check-size", help="All images must come out of one size.")
@click.option("--skip-broken", is_flag=True, help="Leave out images that cannot be read.")
def images(paths: tuple[str, ...], backend: str, **options: Any) -> None:
    """Write the images that IMAGES names into the new database DB, as convert_imageset does.

    IMAGES is a list file, with a path and a label on each line, or a folder with a subfolder for
    each class: these are labelled 0, 1, ... in alphabetical order, and DB_classes.txt says so.
    ROOT is put before each path of a list.
    """
    from protonet.cli._reporting import progress
    from protonet.data.convert import Conversion, image_set
    from protonet.data.writer import refuse_existing, write_database

    if len(paths) not in (2, 3):
        raise click.UsageError(f"expected [ROOT] IMAGES DB, got {len(paths)} arguments")
    *root, source, target = paths
    size = _size(options["resize"], options["resize_height"], options["resize_width"])
    found = image_set(source, root[0] if root else "")
    if options["shuffle"]:
        _shuffle(found.entries, options["seed"])
    conversion = Conversion(
        color=not options["gray"],
        size=size,
        encoding=options["encode_type"] or ("same" if options["encoded"] else ""),
        same_size=options["check_size"],
    )
    target = target.rstrip("/\\")
    names = f"{target}_classes.txt"
    for path in [target, names] if found.classes else [target]:
        refuse_existing(path)
    skipped: list[str] = []
    broken = skipped.append if options["skip_broken"] else None
    with progress("images", len(found.entries)) as step:
        count = write_database(
            target, backend, _counted(conversion.records(found, broken=broken), step)
        )
    for message in skipped:
        click.echo(f"left out: {message}", err=True)
    if found.classes:
        _write_classes(names, found.classes)
    click.echo(f"{target}: {count:,} records")


def _shuffle(entries: list[Any], seed: int) -> None:
    import numpy as np

    entries[:] = [entries[i] for i in np.random.default_rng(seed).permutation(len(entries))]


def _size(text: str | None, height: int, width: int) -> tuple[int, int] | None:
    """Return what the three options about resizing say together."""
    if text is not None:
        parts = text.lower().split("x")
        if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
            raise click.UsageError(
                f"--resize: expected HEIGHTxWIDTH, such as 256x256, got '{text}'"
            )
        height, width = map(int, parts)
    if bool(height) != bool(width):
        raise click.UsageError("--resize-height and --resize-width belong together")
    return (height, width) if height else None


def _counted(records: Any, step: Any) -> Any:
    for record in records:
        yield record
        step()


def _write_classes(path: str, classes: list[str]) -> None:
    from protonet.files import written_beside

    with written_beside(path) as file:
        file.write("".join(f"{name} {label}\n" for label, name in enumerate(classes)).encode())


@command.command(cls=CaffeCommand)
@click.argument("database", metavar="DB", type=click.Path())
@click.argument("target", metavar="[OUT]", type=click.Path(), required=False)
@click.option("--backend", type=_KIND, help="Not needed: the database itself tells its kind.")
def mean(database: str, target: str | None, backend: str | None) -> None:
    """Write the mean of all images of DB to OUT, a .binaryproto, as compute_image_mean does.

    The mean of each channel, for mean_value, is printed; without OUT nothing is written.
    """
    from protonet.cli._reporting import progress
    from protonet.data.mnist import open_named
    from protonet.data.statistics import mean_blob, mean_image
    from protonet.files import written_beside

    source = open_named(database)
    with progress("records", len(source)) as step:
        image = mean_image(source, step)
    if target is not None:
        with written_beside(target) as file:
            file.write(mean_blob(image).SerializeToString())
        click.echo(f"{target}: mean of {len(source):,} images of shape {image.shape}")
    for channel, value in enumerate(image.mean(axis=(1, 2), dtype="float64")):
        click.echo(f"mean_value channel [{channel}]: {value:.6g}")


@command.command(cls=CaffeCommand)
@click.argument("database", metavar="DB", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--sheet", type=click.Path(), metavar="PNG", help="Write a sheet of images here.")
@click.option(
    "--count", type=click.IntRange(min=1), default=80, show_default=True, help="Images on it."
)
def show(database: str, as_json: bool, sheet: str | None, count: int) -> None:
    """Print what DB holds: records, shapes, labels; with --sheet, also draw its first images."""
    from protonet.cli._reporting import progress
    from protonet.data.mnist import open_named
    from protonet.data.statistics import contact_sheet, survey
    from protonet.files import written_beside

    source = open_named(database)
    with progress("records", len(source)) as step:
        found = survey(source, step)
    if as_json:
        click.echo(_as_json(found))
    else:
        _print(found)
    if sheet is not None:
        with written_beside(sheet) as file:
            contact_sheet(source, count).save(file, "PNG")
        click.echo(f"{sheet}: the first {min(count, found.records)} images", err=as_json)


def _as_json(found: Any) -> str:
    import json

    shapes = [{"shape": list(s), "records": n} for s, n in found.shapes.most_common()]
    told = {**vars(found), "shapes": shapes, "labels": dict(sorted(found.labels.items()))}
    return json.dumps(told)


def _print(found: Any) -> None:
    shapes = [f"{' x '.join(map(str, s))} ({n:,})" for s, n in found.shapes.most_common(8)]
    if len(found.shapes) > len(shapes):
        shapes.append(f"{len(found.shapes) - len(shapes)} more")
    forms = [f"{form} ({n:,})" for form, n in found.forms.most_common()]
    click.echo(f"database  {found.path} ({found.kind}, {found.size / 1e6:.1f} MB)")
    click.echo(f"records   {found.records:,}, {found.first_key} to {found.last_key}")
    click.echo(f"shapes    {', '.join(shapes)}")
    click.echo(f"kept as   {', '.join(forms)}")
    counts = sorted(found.labels.items())
    most = max(found.labels.values())
    click.echo(
        f"labels    {len(counts):,}, {counts[0][0]} to {counts[-1][0]}, "
        f"{min(found.labels.values()):,} to {most:,} records each"
    )
    for label, n in counts if len(counts) <= _LABELS_SHOWN else ():
        click.echo(f"{label:8}  {n:8,}  {'█' * max(1, round(40 * n / most))}")
