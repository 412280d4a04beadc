"""``protonet classify``: the classes that a net sees in images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from protonet.cli._flags import threads_option
from protonet.errors import DataError

if TYPE_CHECKING:
    from protonet.classify import Preparation


@click.command(name="classify")
@click.argument("net", type=click.Path())
@click.argument("weights", type=click.Path())
@click.argument("images", metavar="IMAGE...", type=click.Path(), nargs=-1, required=True)
@click.option("--labels", type=click.Path(), help="A file with the name of a class in each line.")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes.")
@click.option(
    "--transform",
    type=click.Path(),
    help="A net file whose transform_param says how images are prepared, instead of NET.",
)
@click.option("--mean", metavar="B,G,R|FILE", help="What is subtracted: values, or a mean file.")
@click.option("--scale", type=float, help="What is multiplied by, after the mean.")
@click.option("--resize", metavar="H[,W]", help="The size before the crop.")
@click.option("--crop", type=click.IntRange(min=1), help="The side of the centre crop.")
@click.option("--rgb", is_flag=True, help="Feed red, green, blue; Caffe's order is the reverse.")
@click.option("--output", metavar="BLOB", help="The blob of the scores.  [default: the last one]")
@click.option(
    "--batch", type=click.IntRange(min=1), default=10, show_default=True, help="Images at a time."
)
@threads_option
@click.option("--json", "as_json", is_flag=True, help="Print preparation and classes as JSON.")
def command(
    net: str,
    weights: str,
    images: tuple[str, ...],
    labels: str | None,
    top: int,
    transform: str | None,
    mean: str | None,
    scale: float | None,
    resize: str | None,
    crop: int | None,
    rgb: bool,
    output: str | None,
    batch: int,
    as_json: bool,
) -> None:
    """Print the classes that NET with WEIGHTS sees in each IMAGE, the likeliest first.

    NET may be a deploy net or a training net. How images are prepared is read from its
    transform_param, or else from train_val.prototxt beside it, changed by the options, and printed.
    """
    from protonet.classify import ImageClassifier, best, read_labels
    from protonet.deploy import usable
    from protonet.layer import TEST
    from protonet.net import Net
    from protonet.schema.read import read_net

    source = usable(read_net(net))
    preparation = _preparation(net, transform)
    _change(preparation, mean, scale, resize, crop)
    preparation.rgb = rgb
    kept = () if output is None else (output,)
    classifier = ImageClassifier(Net(source, TEST, weights, keep=kept), preparation, output)
    names = read_labels(labels, classifier.classes) if labels is not None else None
    results = []
    if not as_json:
        click.echo(f"preprocessing: {classifier.describe()}")
    for path, scores in zip(images, classifier.scores(images, batch), strict=True):
        classes = best(scores, top)
        if not as_json:
            click.echo(path)
            for i in classes:
                click.echo(f"  {scores[i]:.4f}  {i}" + (f"  {names[i]}" if names else ""))
        found: list[dict[str, Any]] = [{"class": i, "score": float(scores[i])} for i in classes]
        for entry in found if names else ():
            entry["label"] = names[entry["class"]] if names else ""
        results.append({"image": path, "classes": found})
    if as_json:
        data = {"preprocessing": classifier.as_data(), "output": classifier.output}
        click.echo(json.dumps({**data, "images": results}, indent=2))


def _preparation(net: str, transform: str | None) -> Preparation:
    """Read how images are prepared from the first of these files that says so."""
    from pathlib import Path

    from protonet.classify import read_preparation
    from protonet.graph import build_graph
    from protonet.layer import TEST
    from protonet.schema.read import read_net

    beside = Path(net).with_name("train_val.prototxt")
    candidates = [transform] if transform else [net, *([str(beside)] if beside.exists() else [])]
    for path in candidates:
        for layer in build_graph(read_net(path), TEST).layers:
            if layer.param.HasField("transform_param"):
                return read_preparation(layer.param, path, layer.line)
    if transform:
        raise DataError(f"{transform}: no layer of its TEST phase has a transform_param")
    return read_preparation(None, net, 0)


def _change(
    preparation: Preparation,
    mean: str | None,
    scale: float | None,
    resize: str | None,
    crop: int | None,
) -> None:
    """Let the options override what was read."""
    param = preparation.param
    if mean is not None:
        param.ClearField("mean_file")
        param.ClearField("mean_value")
        try:
            param.mean_value.extend(float(value) for value in mean.split(","))
        except ValueError:
            param.mean_file = mean
    if scale is not None:
        param.scale = scale
    if crop is not None:
        param.crop_size = crop
    if resize is not None:
        preparation.size = _size(resize)
    if any(option is not None for option in (mean, scale, resize, crop)):
        read = f"{preparation.origin}, changed by " if preparation.where else ""
        preparation.origin = f"{read}options"


def _size(text: str) -> tuple[int, int]:
    try:
        height, *rest = (int(n) for n in text.split(","))
        (width,) = rest or [height]
    except ValueError:
        height = width = 0
    if min(height, width) < 1:
        raise DataError(f"--resize: expected H or H,W of numbers from 1, got '{text}'")
    return height, width
