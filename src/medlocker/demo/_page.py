"""The demo's page: one HTML file with everything in it, readable without a network."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

from PIL import Image as PillowImage

from medlocker._files import write_atomic
from medlocker.demo._judge import Judged
from medlocker.demo._sheet import caption
from medlocker.demo._story import Story

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1c2028;background:#fafaf8}
body{max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}
td,th{border-bottom:1px solid #ccc;padding:.3rem .9rem;text-align:left}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:1rem}
figure{margin:0}figcaption{font-size:.85rem}.pair{position:relative;aspect-ratio:1}
.pair img{position:absolute;inset:0;width:100%;height:100%}.pair .after{clip-path:inset(0 0 0 var(--cut,50%))}
input[type=range]{width:100%}.good{color:#146e3c}.bad{color:#b41e1e}
"""
_SCRIPT = """
document.querySelectorAll('input[type=range]').forEach(r=>r.addEventListener('input',
()=>r.parentElement.querySelector('.after').style.setProperty('--cut',r.value+'%')));
"""


def write_page(story: Story, path: Path) -> None:
    """Write the page."""
    figures = "\n".join(_figure(story, i) for i in range(len(story.samples.names)))
    count = len(story.samples.names)
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>medlocker demo</title><style>{_STYLE}</style></head><body>
<h1>medlocker demo</h1>
<p>{count} synthetic fundus photographs, protected against the built-in classifier (itself made from synthetic
images, no diagnostic device), then restored with the owner's key.</p>
{_table(story)}
<p>{story.identical} of {count} restored files equal their originals byte for byte. No pixel of a lesion's box
was touched. It took {story.seconds:.0f} s.</p>
<p><b>What this does not do:</b> a mark raises the cost of unauthorised analysis and proves origin. It is not
access control: it cannot stop mask-and-inpaint or retraining, nor protect images whose originals are
public.</p>
<p>Move the sliders: original on the left, protected on the right.</p>
<div class="grid">{figures}</div><script>{_SCRIPT}</script></body></html>
"""
    write_atomic(path, text.encode("utf-8"), overwrite=True)


def accuracies(story: Story) -> list[tuple[str, Judged]]:
    """Return the three versions that the model was asked about."""
    return [
        ("originals", story.clean),
        ("logo at a random place (control)", story.random),
        ("protected", story.protected),
    ]


def _table(story: Story) -> str:
    rows = "".join(
        f"<tr><td>{name}</td><td>{judged.accuracy:.0%}</td>"
        f"<td>{int((judged.classes == judged.labels).sum())} of {len(judged.labels)}</td></tr>"
        for name, judged in accuracies(story)
    )
    return f"<table><tr><th>the model sees</th><th>accuracy</th><th>right</th></tr>{rows}</table>"


def _figure(story: Story, i: int) -> str:
    name = story.samples.names[i]
    before, after = story.samples.images / name, story.release / "images" / name
    (answer, right), (marked_answer, marked_right) = (
        caption(story, "original", i),
        caption(story, "protected", i),
    )
    return (
        f'<figure><div class="pair"><img alt="original" src="{_embedded(before)}">'
        f'<img class="after" alt="protected" src="{_embedded(after)}"></div>'
        f'<input type="range" min="0" max="100" value="50" aria-label="compare">'
        f'<figcaption><span class="{_tone(right)}">{html.escape(answer)}</span> &rarr; '
        f'<span class="{_tone(marked_right)}">{html.escape(marked_answer)}</span></figcaption></figure>'
    )


def _tone(right: bool) -> str:
    return "good" if right else "bad"


def _embedded(path: Path) -> str:
    """Return a small JPEG of a picture as a data address: the page is for looking, not for judging."""
    with PillowImage.open(path) as picture:
        small = picture.convert("RGB").resize((320, 320), PillowImage.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
