"""``protonet features``: write what blobs of a net hold, as Caffe's extract_features."""

from __future__ import annotations

import click

from protonet.cli._flags import (
    CaffeCommand,
    gpu_note,
    gpu_option,
    parts,
    phase_option,
    python_layers_option,
    state_options,
    threads_option,
    weight_files,
)


@click.command(name="features", cls=CaffeCommand)
@click.argument("net", type=click.Path())
@click.argument("weights", metavar="WEIGHTS[,WEIGHTS]...")
@click.argument("blobs", metavar="BLOB[,BLOB]...")
@click.argument("outputs", metavar="OUT[,OUT]...")
@click.argument("batches", metavar="N_BATCHES", type=click.IntRange(min=1))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["lmdb", "leveldb", "hdf5", "npz"]),
    default="lmdb",
    show_default=True,
    help="What to write.",
)
@phase_option("test")
@state_options
@gpu_option
@threads_option
@python_layers_option(default=True)
def command(
    net: str,
    weights: str,
    blobs: str,
    outputs: str,
    batches: int,
    kind: str,
    phase: int,
    level: int | None,
    stages: tuple[str, ...],
    gpu: str | None,
) -> None:
    """Run NET with WEIGHTS over N_BATCHES and write each BLOB to its OUT.

    An lmdb or leveldb has a Datum of floats for each row, under its number in ten digits, as
    Caffe's extract_features writes it; hdf5 and npz have one array, named after the blob. An OUT
    that exists is not overwritten, and none is left half-written.

    NET and WEIGHTS may change places, as extract_features has them.
    """
    from protonet.cli._reporting import progress, reporting
    from protonet.features import check, extract
    from protonet.net import Net
    from protonet.schema.write import is_binary_name
    from protonet.scoring import check_reads_data, whole_pass

    if is_binary_name(net) and not is_binary_name(weights):
        net, weights = weights, net
    files, names, paths = weight_files(weights), parts(blobs), parts(outputs)
    with reporting() as reporter:
        if gpu is not None:
            reporter.note(gpu_note(gpu))
        running = Net(net, phase, level=level, stages=stages, keep=names)
        check_reads_data(running, net)
        check(running, names, paths, kind)
        for file in files:
            for name in running.copy_from(file):
                reporter.note(f"{file}: the net has no layer '{name}', ignored")
        whole = whole_pass(running)
        if whole and batches * whole.batch > whole.records:
            reporter.note(
                f"{batches} batches of {whole.batch} read some of the {whole.records} records "
                "more than once"
            )
        with progress("extracting", batches) as advance:
            rows = extract(running, names, paths, batches, kind, advance)
        running.close()
    for name, path, count in zip(names, paths, rows, strict=True):
        row = running.blobs[name].shape[1:] or (1,)
        click.echo(f"{path}: {count:,} rows of {name}, {'×'.join(map(str, row))}")
