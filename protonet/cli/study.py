"""``protonet study``: the lecture's claims, as experiments."""

from __future__ import annotations

import click

from protonet.cli._flags import threads_option


@click.command(name="study")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Measure less: each in less than 20 seconds.")
@click.option("--out", type=click.Path(), help="Folder to write into.  [default: studies]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["svg", "png", "pdf"]),
    default="svg",
    show_default=True,
    help="Of the figures.",
)
@click.option("--list", "listing", is_flag=True, help="List the studies, run none.")
@threads_option
def command(names: tuple[str, ...], quick: bool, out: str | None, form: str, listing: bool) -> None:
    """Run studies by NAME, or all: each writes a figure, a table and a finding.

    Findings are computed from what was measured; each says whether the data supports the claim.
    README.md in the folder lists all that it holds.
    """
    import time
    from pathlib import Path

    from protonet.study import study
    from protonet.watch import figures

    wanted = study.chosen(names)
    if listing:
        for one in wanted:
            click.echo(f"{one.name:14} {one.claim}")
        return
    figures.require()
    folder = Path(out) if out else Path("studies")
    figures.make_folder(folder)
    for one in wanted:
        start = time.perf_counter()
        outcome = one.run(study.Bench(quick, folder / f"{one.name}.{form}"))
        seconds = time.perf_counter() - start
        made_by = f"protonet study {one.name}{' --quick' if quick else ''}"
        study.write_outcome(one, outcome, folder, made_by, f"{one.name}.{form}")
        click.echo(f"{one.name} ({seconds:.0f} s): {outcome.finding}")
    study.write_summary(folder)
