"""Pages from templates: everything escaped, everything in one file, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from medlocker.pages._thumbnails import embedded

_TEMPLATES = Path(__file__).parent / "templates"
Filters = Mapping[str, Callable[..., Any]]


def render_page(
    template: str, *, folders: Sequence[Path] = (), filters: Filters | None = None, **values: Any
) -> bytes:
    """Return a whole page as UTF-8, in one file.

    All values are escaped, and characters that no reader sees (controls, bidirectional marks) are spelled
    out. The page may run only its own script and style, and load nothing: its Content-Security-Policy says
    so.

    Args:
        template: File name; it extends ``page.html``, and fills its blocks ``title`` and ``main``.
        folders: Where it and what it includes lies, before the templates of this package.
        filters: Of the templates, besides those of this package.
        values: For the template.
    """
    found = environment(folders, filters or {}).get_template(template)
    return found.render(**frame(images="data:"), **values).encode("utf-8", "backslashreplace")


def frame(
    *, images: str, forms: str = "'none'", connections: str = "", more_script: str = ""
) -> dict[str, Markup]:
    """Return what ``page.html`` needs: style, script, and the policy that allows these two alone.

    Args:
        images: Where pictures may come from: ``data:`` or ``'self'``.
        forms: Where forms may be sent.
        connections: What the script may ask; nothing if empty.
        more_script: Behind the script of every page.
    """
    style, code = stylesheet(), script() + more_script
    asked = f"connect-src {connections}; " if connections else ""
    policy = (
        f"default-src 'none'; base-uri 'none'; form-action {forms}; {asked}"
        f"style-src {_hash(style)}; script-src {_hash(code)}; img-src {images}"
    )
    return {"style": Markup(style), "script": Markup(code), "policy": Markup(policy)}


def environment(folders: Sequence[Path] = (), filters: Filters | None = None) -> Environment:
    """Return what makes pages of templates: strict, escaping, with the templates and filters of this package.

    Args:
        folders: Of further templates; what lies in the first ones comes first.
        filters: Further ones.
    """
    made = Environment(
        loader=FileSystemLoader([*folders, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_visible,
    )
    made.filters.update(percent=percent, embedded=embedded, **(filters or {}))
    return made


@cache
def stylesheet() -> str:
    """Return the style of every page."""
    return (_TEMPLATES / "page.css").read_text("utf-8")


@cache
def script() -> str:
    """Return the script of every page: sliders, links into folded parts, and printing."""
    return (_TEMPLATES / "page.js").read_text("utf-8")


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode('utf-8')).digest()).decode('ascii')}'"


def _visible(value: Any) -> Any:
    """Spell out what cannot be seen in plain text; what a template has made stays."""
    if isinstance(value, Markup) or not isinstance(value, str) or value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)


def percent(share: float | None) -> str:
    """Return a share as whole per cent."""
    return "-" if share is None else f"{share:.0%}"
