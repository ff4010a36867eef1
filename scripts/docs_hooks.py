"""What the documentation site takes from elsewhere: commands from the program, some pages from the root."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from rich.text import Text

from medlocker.cli.commands import COMMANDS, load

ROOT = Path(__file__).parent.parent
PAGES = {"contributing.md": "CONTRIBUTING.md", "security.md": "SECURITY.md", "changelog.md": "CHANGELOG.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    made = {"reference/commands.md": commands()}
    for page, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        made[page] = text.replace("](CHANGELOG.md)", "](changelog.md)")
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def commands() -> str:
    """Return the reference of all commands as Markdown."""
    lines = [
        "# Commands",
        "",
        "`medlocker COMMAND --help` tells the same. Results go to standard output, all else",
    ]
    lines += [
        "to standard error. Exit codes: 0 done, 1 some image failed, 2 wrong usage, 3 trust or integrity",
        "failed.",
    ]
    for name in COMMANDS:
        lines += _told(load(name), name)
    return "\n".join(lines) + "\n"


def _told(command: Any, name: str) -> Iterator[str]:
    yield from ("", f"## {name}", "", _plain(command.help or ""))
    context = command.context_class(command, info_name=f"medlocker {name}")
    if not hasattr(command, "commands"):
        yield from ("", "```", f"medlocker {name} {' '.join(command.collect_usage_pieces(context))}", "```")
    records = [one.get_help_record(context) for one in command.params if not getattr(one, "hidden", False)]
    if any(records):
        yield from ("", "| | |", "|---|---|")
    for record in filter(None, records):
        names, text = (" ".join(part.split()) for part in record)
        yield f"| `{names}` | {_plain(text)} |"
    for below in getattr(command, "commands", {}).values():
        yield from _told(below, f"{name} {below.name}")


def _plain(text: str) -> str:
    """Return a help text without the marks of its colours, nothing of it read as HTML or as a link."""
    parts = Text.from_markup(text.replace("\b", "")).plain.split("`")
    for k in range(0, len(parts), 2):  # the others are code
        parts[k] = parts[k].replace("<", "&lt;").replace("[", "\\[").replace("*", "\\*").replace("|", "\\|")
    return "`".join(parts)
