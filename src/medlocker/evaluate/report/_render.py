"""Pages from templates: everything escaped, everything in one file, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image as PillowImage

from medlocker.attacks import as_bytes
from medlocker.evaluate._numbers import RemainingAccuracy
from medlocker.evaluate.removal import Agreement, Row
from medlocker.evaluate.report._headline import auc_text, gain_text, kappa_text
from medlocker.files import read_limited
from medlocker.formats import read_image
from medlocker.images import LIMITS, viewed

_TEMPLATES = Path(__file__).parent / "templates"


def render_page(template: str, *, folder: Path | None = None, **values: Any) -> bytes:
    """Return a whole page as UTF-8.

    All values are escaped, and characters that no reader sees (controls, bidirectional marks) are spelled
    out. The page may run only its own script and style, and load nothing: its Content-Security-Policy says
    so.

    Args:
        template: File name; it extends ``page.html``.
        folder: Of the template, if it is not one of the report's.
        values: For the template.
    """
    page = _environment(folder).get_template(template).render(**_frame(), **values)
    return page.encode("utf-8", "backslashreplace")


def _environment(folder: Path | None = None) -> Environment:
    folders = [_TEMPLATES] if folder is None else [folder, _TEMPLATES]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_visible,
    )
    environment.filters.update(
        percent=percent,
        left=left_text,
        gain=gain_text,
        kappa=kappa_text,
        auc=auc_text,
        embedded=embedded,
        share=accuracy_text,
        seconds=seconds_text,
        restored=restored_text,
    )
    return environment


def _frame() -> dict[str, str]:
    """Return style, script, and the policy that allows these two alone."""
    style, script = ((_TEMPLATES / name).read_text("utf-8") for name in ("page.css", "page.js"))
    allowed = {"style-src": _hash(style), "script-src": _hash(script), "img-src": "data:"}
    policy = "; ".join(f"{kind} {source}" for kind, source in allowed.items())
    policy = f"default-src 'none'; base-uri 'none'; form-action 'none'; {policy}"
    return {"style": Markup(style), "script": Markup(script), "policy": Markup(policy)}


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


def left_text(left: RemainingAccuracy) -> str:
    """Return ``3 of 12 (25 %, 9 to 53 %)``."""
    if left.share is None or left.interval is None:
        return "-"
    low, high = left.interval
    return f"{left.count} of {left.n} ({100 * left.share:.0f} %, {100 * low:.0f} to {100 * high:.0f} %)"


def accuracy_text(one: Agreement | None) -> str:
    """Return ``70 % (48 to 85 %)``."""
    if one is None:
        return "-"
    low, high = one.interval
    return f"{100 * one.accuracy:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"


def seconds_text(seconds: float) -> str:
    """Return seconds with two digits; nobody pays for less than a hundredth."""
    return "under 0.01" if seconds < 0.01 else f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}"


def restored_text(row: Row) -> str:
    """Return ``20.0 (22.0)``: the middle image's decibels, and what a tenth of the images passes."""
    if row.psnr_region is None:
        return "-"
    return f"{row.psnr_region:.1f} ({row.psnr_region_p90 or 0.0:.1f})"


def thumbnail(path: Path, *, side_px: int = 512) -> PillowImage.Image:
    """Return a small RGB picture of an image file, its longer side at most ``side_px``.

    Raises:
        InputError: If it cannot be read.
    """
    data = read_limited(path, max_bytes=LIMITS.max_file_bytes, what="image")
    picture = PillowImage.fromarray(as_bytes(viewed(read_image(data, name=path.name))))
    picture.thumbnail((side_px, side_px), PillowImage.Resampling.LANCZOS)
    return picture


def embedded(picture: PillowImage.Image | Any) -> str:
    """Return a picture, or (H, W, 3) uint8, as an address within the page itself: a JPEG, for looking."""
    stream = io.BytesIO()
    if not isinstance(picture, PillowImage.Image):
        picture = PillowImage.fromarray(picture)
    picture.save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
