"""What the README says is so: its commands exist, its Python runs, its links lead somewhere."""

import re
import shlex

import click
import pytest
from places import ROOT

from protonet.cli import cli

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    match[1].split("#")[0].strip()
    for match in re.finditer(r"(?:^    |&& )(protonet [^\n&]+)", README, re.MULTILINE)
]
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_and_their_options_exist(line):
    words = shlex.split(line)[1:]
    group: click.Command = cli
    context = click.Context(cli)
    while isinstance(group, click.Group):
        name = words.pop(0)
        found = group.get_command(context, name)
        assert found is not None, name
        group = found
    known = {option for param in group.params for option in param.opts}
    assert {w.split("=")[0] for w in words if w.startswith("-") and w != "-"} <= known
    for word in words:
        if word.startswith("models/"):
            assert (ROOT / word).exists()


def test_the_opening_commands_are_what_ci_runs():
    ci = (ROOT / ".ci/run").read_text()
    assert "    pip install . && protonet train models/lenet_dsn.prototxt\n" in README
    assert "    pip install '.[test]' && pytest\n" in README
    for part in ("install --quiet .\n", "protonet train models/lenet_dsn.prototxt", "'.[test]'"):
        assert part in ci


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_runs(code, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    scope = {}
    exec(code, scope)
    scope["net"].close()
    assert capsys.readouterr().out


def test_links_lead_to_files():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_the_findings_are_those_of_the_studies():
    page = (ROOT / "docs/studies/README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[.*$", page, re.MULTILINE)
    assert len(rows) == 10
    for row in rows:
        assert re.sub(r"\]\((\w+\.md)\)", r"](docs/studies/\1)", row) in README
