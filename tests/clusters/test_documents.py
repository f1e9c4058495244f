"""What clusters/ says: each file is in the index, says what was verified, has no secret, and names real commands."""

import re
from pathlib import Path

import click
import pytest
import typer.main
from typer.core import TyperGroup

from pipeline.cli import app

ROOT = Path(__file__).parents[2]
CLUSTERS = ROOT / "clusters"
README = CLUSTERS / "README.md"
FILES = sorted(file for file in CLUSTERS.rglob("*") if file.is_file() and file != README)
each = pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
all_text = pytest.mark.parametrize("file", [*FILES, README], ids=[file.name for file in [*FILES, README]])


def used(file: Path, program: str) -> list[tuple[str, set[str]]]:
    """Each `program COMMAND ...` that is there to be typed or run, with its options."""
    text = re.sub(r"\\\n(#  )?|\n +(?=--)", " ", file.read_text())
    if file == README:
        typed = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    else:
        typed = "\n".join(line for line in text.splitlines() if re.match("#   |[^#]", line))
    found = []
    for words in [*re.findall(r"`([^`\n]+)`", text), *typed.splitlines()]:
        for command, rest in re.findall(rf"(?<![\w./-]){program} ([a-z][\w-]*)([^|&;#)`]*)", words):
            options = re.findall(r"(?<=\s)--[a-z][\w-]*(?=[\s=]|$)", rest.partition(" -- ")[0])
            found.append((command, set(options)))
    return found


def test_the_index_has_every_file() -> None:
    linked = {(CLUSTERS / link).resolve() for link in re.findall(r"\]\(([^)#]+)\)", README.read_text())}
    assert set(FILES) <= linked
    assert all(link.exists() for link in linked)


@each
def test_the_header_says_how_what_to_change_and_what_was_verified(file: Path) -> None:
    header = re.match(r"(#.*\n)+", file.read_text())
    assert header and re.search(r"^#   \S", header[0], re.MULTILINE), "how: a command"
    assert re.search(r"^# Change\b", header[0], re.MULTILINE) and "# Verified: " in header[0]


@all_text
def test_tickets_commands_and_options_exist(file: Path) -> None:
    tickets = typer.main.get_command(app)
    assert isinstance(tickets, TyperGroup)
    known = {
        name: {option for each in command.params for option in each.opts} for name, command in tickets.commands.items()
    }
    for command, options in used(file, "tickets"):
        assert command in known, command
        assert options <= known[command], (command, options)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray Serve's, which the command line imports
@all_text
def test_ray_commands_and_options_exist(file: Path) -> None:
    from ray.scripts.scripts import cli

    for command, options in used(file, "ray"):
        assert command in cli.commands, command
        if not isinstance(cli.commands[command], click.Group):
            assert options <= {option for each in cli.commands[command].params for option in each.opts}, (
                command,
                options,
            )


@all_text
def test_no_secret_is_in_it(file: Path) -> None:
    text = file.read_text()
    key = r"\b[0-9a-fA-F]{32,}\b|AKIA[0-9A-Z]{16}|BEGIN [A-Z ]*PRIVATE KEY"
    in_address = r"://[^/\s:@]+:[^/\s@]+@"
    named = r"(?i)(token|password|secret|access_key)[\w-]*['\"]?\s*[:=]\s*['\"]?(?!/)[A-Za-z0-9+/]{12,}"
    assert not re.search(f"{key}|{in_address}", text) and not re.search(named, text)


@each
def test_the_token_is_on_and_never_an_argument(file: Path) -> None:
    text = file.read_text()
    assert re.search(r"RAY_AUTH_MODE=token|authOptions:\n +mode: token", text)
    assert "RAY_AUTH_MODE=disabled" not in text and "mode: disabled" not in text
    assert not re.search(r"--(auth-)?token|--from-literal", text)


@each
def test_dashboards_are_not_open_to_a_network(file: Path) -> None:
    assert "0.0.0.0" not in file.read_text()
    for host in re.findall(r"dashboard-host[=: \"]+([\w.]+)", file.read_text()):
        assert host == "127.0.0.1"


def test_rays_dashboard_is_on_loopback_where_a_file_says_nothing() -> None:
    from ray.scripts.scripts import start

    (option,) = [option for option in start.params if "--dashboard-host" in option.opts]
    assert option.default == "127.0.0.1"
