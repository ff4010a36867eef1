"""The report's section on removal: the verdict, every attack, and pictures of the worst and the best case."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image as PillowImage

from medlocker.evaluate._attacked import Removal, worst_first
from medlocker.evaluate._cases import Case
from medlocker.evaluate._html import embedded, text
from medlocker.evaluate._numbers import Left
from medlocker.evaluate._page_tables import bar, left_text, number, percent, table
from medlocker.evaluate.removal import Best, Row

_COLOR, _BEYOND_COLOR = "#2f7d6b", "#8a8f98"
_READING = """<p>Each line is an attack that was tried on every marked image before the model was asked.
<i>Left</i> is the share of the model's right answers on clean images that comes back; low is well protected.
The <i>control</i> is the same treatment of the clean image: what the treatment itself costs (an attack that
looks at no marked pixel is its own control). <i>PSNR</i> is how close the marked pixels come to the original,
median of all images: above 35 dB they are restored for the eye; a tenth of the images is restored better than
the number in brackets. Grey bars need labels or a second marked version and do not count for the best
attacker.</p>"""


def removal_section(removal: Removal | None) -> str:
    """Return the section as HTML, empty if no attack was run."""
    if removal is None:
        return ""
    battery = removal.battery
    parts = [
        "<h2>Attacks that remove the mark first</h2>",
        f"<p>{text(removal.verdict)}</p>",
    ]
    if battery.rows:
        parts += [f"<p>{battery.images} images were attacked.</p>", _READING]
    for best in battery.best:
        rows = [row for row in battery.rows if row.target == best.target]
        parts += [f"<h3>{text(best.target)}</h3>", _best_words(best), _table(rows)]
    if removal.cases:
        parts.append(
            "<h3>Pictures</h3><p>Of all images and attacks that train no model: the image that is restored "
            "best, and the one that is restored least, each after the attack that restores it best.</p>"
        )
        parts += [_case(case) for case in removal.cases]
    return "\n".join(parts)


def _best_words(best: Best) -> str:
    if not best.n:
        return "<p>It is right on none of these images when they are clean, so nothing can be left.</p>"
    return (
        f"<p>Somebody who tries every attack and is told which attempt was right: at most "
        f"<b>{left_text(Left(best.right, best.n))}</b>. This is an upper bound: a real attacker has to "
        f"choose without knowing, and by luck alone so many attempts reach any other class on "
        f"{percent(best.luck)}. "
        f"The best single attack is <i>{text(best.single)}</i>: "
        f"{left_text(Left(best.single_right, best.n))}.</p>"
    )


def _table(rows: Sequence[Row]) -> str:
    head = ["attack", "the attacker knows", "left", "", "control", "PSNR, dB", "SSIM", "seconds"]
    return table(head, map(_row, worst_first(rows)), words=2)


def _row(row: Row) -> list[str]:
    left = Left(row.right, row.n)
    decibels = "-" if row.psnr_region is None else f"{row.psnr_region:.1f} ({row.psnr_region_p90 or 0.0:.1f})"
    likeness = "-" if row.ssim_region is None else f"{row.ssim_region:.2f}"
    return [
        text(row.attack),
        text(row.knows),
        number(left_text(left)),
        bar(left, _COLOR if row.combined else _BEYOND_COLOR),
        *(number(cell) for cell in (percent(row.control), decibels, likeness, f"{row.seconds:.2f}")),
    ]


def _case(case: Case) -> str:
    title = "Worst for the owner" if case.is_worst else "Best for the owner"
    answers = "<br>".join(
        f"{text(one.target)}: {' &rarr; '.join(text(name) for name in (one.clean, one.marked, one.after))}"
        for one in case.answers
    )
    caption = (
        f"<p><b>{title}</b>: {text(case.image)} after <i>{text(case.attack)}</i>, {case.psnr:.1f} dB in the "
        f'marked pixels.<br><span class="note">{answers}</span></p>'
    )
    if not case.pictures:
        return f'{caption}<p class="note">The attack could not be repeated for a picture.</p>'
    names = ("original", "marked", f"after {case.attack}")
    figures = "".join(
        f'<figure><img class="wide" alt="{text(name)}" src="{embedded(PillowImage.fromarray(picture))}">'
        f"<figcaption>{text(name)}</figcaption></figure>"
        for name, picture in zip(names, case.pictures, strict=True)
    )
    return f'{caption}<div class="three">{figures}</div>'
