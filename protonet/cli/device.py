"""``protonet device``: what the program will compute with."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from protonet.cli._flags import CaffeCommand, gpu_note, gpu_option


@click.command(name="device", cls=CaffeCommand)
@gpu_option
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(gpu: str | None, as_json: bool) -> None:
    """Print what nets run on: processor, vectors, threads, libraries, cache folders.

    Caffe's name for it, device_query, does the same.
    """
    from protonet.device import query

    if gpu is not None:
        click.echo(gpu_note(gpu), err=True)
    found = query()
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return
    rows = {
        "cpu": found.cpu,
        "kernels for": f"{found.target}, {found.lanes} float32 values a vector",
        "features": " ".join(found.features),
        "threads": f"{found.threads} on {found.processors} processors",
        **{name: version or "not installed" for name, version in found.versions.items()},
        "kernel cache": f"{found.kernels} ({found.kernel_count} compiled)",
        "data cache": found.data,
    }
    width = max(map(len, rows)) + 2
    for name, value in rows.items():
        click.echo(f"{name:<{width}}{value}")
