"""``protonet compare``: train nets side by side."""

from __future__ import annotations

import click

from protonet.cli._flags import threads_option


@click.command(name="compare")
@click.argument("files", nargs=-1, required=True, metavar="NET... [KEY=VALUE]...")
@click.option(
    "--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How many seeds."
)
@click.option("--out", type=click.Path(), help="Folder.  [default: runs/compare]")
@threads_option
def command(files: tuple[str, ...], seeds: int, out: str | None) -> None:
    """Train each NET (or solver) with each seed, on the same records in the same order.

    KEY=VALUE sets a field of every solver, such as max_iter=1000. Bare nets get the classic
    recipe, and are tested up to ten times. What comes out: a table of test error by head (mean ±
    standard deviation), loss, time and the gradient at the first layer; intervals for the
    differences; a figure with bands. The metrics of each run are kept for protonet plot.
    """
    from pathlib import Path

    from rich import box
    from rich.table import Table

    from protonet import compare as comparing
    from protonet.cli._reporting import output_console
    from protonet.lab import Training
    from protonet.run import new_folder
    from protonet.watch import figures

    assignments = [text for text in files if "=" in text]
    nets = [text for text in files if "=" not in text]
    if len(nets) < 2:
        raise click.UsageError(f"Give two nets or more to compare, got {len(nets)}.")
    figures.require()
    folder = new_folder(Path(out) if out else Path("runs/compare"))

    def told(run: Training) -> None:
        how = f", {run.diverged}" if run.diverged else ""
        click.echo(f"{run.name}, seed {run.seed}: {run.seconds:.1f} s{how}", err=True)

    try:
        found = comparing.compare(nets, range(1, seeds + 1), assignments, folder, told)
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()
    table = Table(box=box.SIMPLE_HEAD)
    for heading in comparing.HEADINGS:
        table.add_column(heading)
    for row in comparing.rows(found):
        table.add_row(*row)
    console = output_console()
    console.print(table)
    for line in comparing.findings(found):
        console.print(line, highlight=False)
    comparing.write_table(found, folder / comparing.TABLE)
    comparing.draw(found, folder / comparing.FIGURE)
    print(f"{folder / comparing.FIGURE}, {folder / comparing.TABLE}")
