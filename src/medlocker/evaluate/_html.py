"""What the pages of medlocker share: style, embedded pictures, sliders; nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

from PIL import Image as PillowImage

from medlocker.attacks import as_bytes
from medlocker.files import read_limited
from medlocker.formats import read_image
from medlocker.images import LIMITS, viewed

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1c2028;background:#fafaf8}
body{max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}
td,th{border-bottom:1px solid #ccc;padding:.3rem .9rem;text-align:left}
.scroll{overflow-x:auto}.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
th.num{white-space:normal;max-width:14rem;overflow-wrap:break-word}.note{font-size:.9rem;color:#555}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:1rem}
figure{margin:0}.wide{width:100%}
.three{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:1rem}
figcaption{font-size:.85rem;overflow-wrap:anywhere}.pair{position:relative}
.pair img{position:absolute;inset:0;width:100%;height:100%}.pair .after{clip-path:inset(0 0 0 var(--cut,0%))}
input[type=range]{width:100%}.good{color:#146e3c}.bad{color:#b41e1e}
"""
_SCRIPT = """
document.querySelectorAll('input[type=range]').forEach(r=>r.addEventListener('input',
()=>r.parentElement.querySelector('.after').style.setProperty('--cut',r.value+'%')));
"""


def html_page(title: str, body: str) -> bytes:
    """Return a whole page as UTF-8.

    Args:
        title: Plain text.
        body: HTML.
    """
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head><body>\n"
    )
    return f"{head}{body}<script>{_SCRIPT}</script></body></html>\n".encode("utf-8", "backslashreplace")


def text(value: object) -> str:
    """Escape text for HTML; control characters, which no reader sees, are spelled out."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(value))
    return html.escape(plain)


def thumbnail(path: Path, *, side_px: int = 512) -> PillowImage.Image:
    """Return a small RGB picture of an image file, its longer side at most ``side_px``.

    Raises:
        InputError: If it cannot be read.
    """
    data = read_limited(path, max_bytes=LIMITS.max_file_bytes, what="image")
    picture = PillowImage.fromarray(as_bytes(viewed(read_image(data, name=path.name))))
    picture.thumbnail((side_px, side_px), PillowImage.Resampling.LANCZOS)
    return picture


def slider(before: PillowImage.Image, after: PillowImage.Image, caption: str) -> str:
    """Return two pictures of one size that a slider wipes between: for looking, not for judging.

    Args:
        before: Comes out from the left as the slider moves.
        after: Shown at first.
        caption: HTML.
    """
    width, height = before.size
    return (
        f'<figure><div class="pair" style="aspect-ratio:{width}/{height}">'
        f'<img alt="original" src="{embedded(before)}">'
        f'<img class="after" alt="protected" src="{embedded(after)}"></div>'
        f'<input type="range" min="0" max="100" value="0" aria-label="compare">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def embedded(picture: PillowImage.Image) -> str:
    """Return a picture as the address of an image in the page itself: a JPEG, for looking."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
