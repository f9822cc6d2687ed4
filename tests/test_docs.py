"""The documentation says what the program does."""

import re
from pathlib import Path

import typer.main

from samovar.cli.main import app
from samovar.settings import Settings

ROOT = Path(__file__).resolve().parent.parent


def _commands(group, prefix=""):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        elif not command.hidden:
            yield f"{prefix}{name}"


def test_every_command_is_documented():
    """A command that is added without a line in SCRIPTS.md is a defect."""
    text = (ROOT / "docs/SCRIPTS.md").read_text(encoding="utf-8")
    names = list(_commands(typer.main.get_command(app)))
    assert "ingest" in names
    missing = [name for name in names if not all(word in text for word in name.split())]
    assert missing == []


def test_every_documented_variable_exists():
    """A variable in the table that no field reads would be set in vain."""
    text = (ROOT / "docs/SCRIPTS.md").read_text(encoding="utf-8").split("## Settings")[1]
    known = {choice for field in Settings.model_fields.values() for choice in field.validation_alias.choices}
    written = set(re.findall(r"`([A-Z][A-Z_]+)`", text)) - {"INFO"}
    named = {name if name in known else name.removesuffix("_FILE") for name in written}
    assert len(named) > 10
    assert named <= known


def test_links_between_pages_lead_somewhere():
    """Every relative link of every page names a file that exists."""
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_russian_map_names_the_same_parts():
    """The two architecture pages may not drift apart."""
    pages = [(ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in ("ARCHITECTURE", "ARCHITECTURE_RU")]
    parts = [set(re.findall(r"^\| `([a-z]+)`", page, flags=re.MULTILINE)) for page in pages]
    assert parts[0] == parts[1]
    assert len(parts[0]) >= 10
