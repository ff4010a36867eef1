"""The demo's page: one HTML file with everything in it, readable without a network."""

from __future__ import annotations

from pathlib import Path

from medlocker.demo._sheet import caption
from medlocker.demo._story import Story
from medlocker.evaluate import html_page, slider, text, thumbnail
from medlocker.files import write_atomic

_SIDE_PX = 320


def write_page(story: Story, path: Path) -> None:
    """Write the page."""
    figures = "\n".join(_figure(story, i) for i in range(len(story.samples.names)))
    count = len(story.samples.names)
    body = f"""<h1>medlocker demo</h1>
<p>{count} synthetic fundus photographs, protected against the built-in classifier (itself made from synthetic
images, no diagnostic device), then restored with the owner's key.</p>
{_table(story)}
<p>{story.identical} of {count} restored files equal their originals byte for byte. No pixel of a lesion's box
was touched. It took {story.seconds:.0f} s.</p>
<p>Right answers are not what counts: a model that is always wrong tells as much as one that is always right.
Kappa says how much the answers still tell of the truth; 0 is nothing.</p>
<p><b>What this does not do:</b> a mark raises the cost of unauthorised analysis and proves origin. It is not
access control: it cannot stop mask-and-inpaint or retraining, nor protect images whose originals are
public.</p>
<p>Move the sliders: to the right, the original comes out under the protected image.</p>
<div class="grid">{figures}</div>
"""
    write_atomic(path, html_page("medlocker demo", body), overwrite=True)


def _table(story: Story) -> str:
    rows = "".join(
        f"<tr><td>{name}</td><td>{judged.accuracy:.0%}</td>"
        f"<td>{int((judged.classes == judged.labels).sum())} of {len(judged.labels)}</td>"
        f"<td>{judged.kappa:.2f}</td></tr>"
        for name, judged in story.answers.items()
    )
    head = "".join(f"<th>{name}</th>" for name in ("the model sees", "accuracy", "right", "kappa"))
    return f"<table><tr>{head}</tr>{rows}</table>"


def _figure(story: Story, i: int) -> str:
    name = story.samples.names[i]
    before, after = story.samples.images / name, story.release / "images" / name
    (answer, right), (marked_answer, marked_right) = (
        caption(story, "original", i),
        caption(story, "protected", i),
    )
    words = (
        f'<span class="{_tone(right)}">{text(answer)}</span> &rarr; '
        f'<span class="{_tone(marked_right)}">{text(marked_answer)}</span>'
    )
    return slider(thumbnail(before, side_px=_SIDE_PX), thumbnail(after, side_px=_SIDE_PX), words)


def _tone(right: bool) -> str:
    return "good" if right else "bad"
