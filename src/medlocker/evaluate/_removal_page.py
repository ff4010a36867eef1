"""The report's section on removal: the verdict, every attack, and pictures of the worst and the best case."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image as PillowImage

from medlocker.evaluate._attacked import Removal, worst_first
from medlocker.evaluate._cases import Case
from medlocker.evaluate._headline import gain_text
from medlocker.evaluate._html import embedded, text
from medlocker.evaluate._numbers import Left
from medlocker.evaluate._page_tables import bar, left_text, number, percent, table
from medlocker.evaluate._sidechannels import Relearned, SideChannel
from medlocker.evaluate.removal import Best, Row

_COLOR, _BEYOND_COLOR = "#2f7d6b", "#8a8f98"
_READING = """<p>One line is one attack, tried on every one of these marked images before the model was asked.
The line <i>none</i> is the marked image as it is. The worst for the owner come first.</p><ul>
<li><i>The attacker knows</i>: what somebody needs for it. This program and the look of the marks are public;
"nothing" is what anybody has.</li>
<li><i>Left</i>: of the images that the model answers rightly when they carry no mark, how many it answers
rightly after mark and attack. Low is well protected. In brackets the share, and its interval of 95 %.</li>
<li><i>Control</i>: the same count without a mark, on the unmarked images after the same treatment. Where it
is low too, the treatment spoils any picture, and a low <i>left</i> is not owed to the mark. For attacks that
change nothing but the mark it is the unmarked image, untouched: 100 %. For attacks that replace the marked
pixels without a look at them it is the same picture as after the attack, so both shares are equal.</li>
<li><i>Information left</i>: what the answers after the attack still tell, on all of these images: learned
from its outputs on half of the images, how much more often the other half is named rightly than by always
naming the most frequent class. In brackets its interval of 95 %. 0 is none, whatever <i>left</i> says.</li>
<li><i>PSNR</i> and <i>SSIM</i>: how close the marked pixels come to the original, median of all images; a
tenth of the images comes closer than the number in brackets. From 35 dB on, or with an SSIM near 1, the eye
sees no difference. "-": nothing to compare, for the attack moves the pixels or gives no picture.</li>
<li><i>Seconds</i>: mean of an image on this machine.</li>
<li>Grey bars: the attacker needs labelled images, or a second marked version of the same image. A
release gives neither, so they do not count for the best attacker.</li></ul>"""
_DOES = {
    1: "nothing is done",
    2: "saved as JPEG of that quality",
    3: "softened: Gaussian blur of that sigma, or median of that many pixels",
    4: "scaled down by that factor and up again, its rim cut off, or mirrored",
    5: "noise taken out as from a poor photograph, or fewer shades",
    6: "the logo is found and its blending undone",
    7: "the same, with a guess how this mark was bent or textured",
    8: "the mark is cut out, and the hole is filled from around it",
    9: "what many marked images have in common is taken off",
    10: "a network that was trained to take off marks made with this program",
    11: "parts are covered one after the other, and the model's answers are counted",
    12: "the model is asked about many cuttings, and its answers are counted",
    13: "the model is trained on with marked images",
    14: "the pixels under one mark are taken from the other version",
    15: "the model is trained on with clean images, on which random marks were painted",
    16: "the lattice of a veil is found, and the blending of its copies undone",
    17: "what repeats in a veil is taken off",
    18: "a veil is painted over from what it leaves free",
}
"""By an attack's number, what it does to a marked image."""


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
        count = "One image was" if battery.images == 1 else f"{battery.images} images were"
        parts += [f"<p>{count} attacked.</p>", _READING]
    for best in battery.best:
        rows = [row for row in battery.rows if row.target == best.target]
        parts += [f"<h3>{text(best.target)}</h3>", _best_words(best), _table(rows)]
    parts += _relearned(removal.relearned)
    parts += _side_channels(removal.side_channels)
    if removal.cases:
        parts.append(
            "<h3>Pictures</h3><p>Of all images and attacks that train no model: the image that is restored "
            "best, and the one that is restored least, each after the attack that restores it best.</p>"
        )
        parts += [_case(case) for case in removal.cases]
    return "\n".join(parts)


def _relearned(found: Sequence[Relearned]) -> list[str]:
    """Say what can be learned from each model about marked images."""
    if not found:
        return []
    sentences = "".join(f"<li>{text(one.text)}</li>" for one in found)
    return [
        "<h3>What can be learned anew</h3><p>From marked images as they are, without an attack, each "
        "predicted by what was learned on others. Of ONNX models only outputs are known.</p>"
        f"<ul>{sentences}</ul>"
    ]


def _side_channels(found: Sequence[SideChannel]) -> list[str]:
    """Say what the release tells without a look at its pictures."""
    if not found:
        return []
    sentences = "".join(
        f"<li><span class='{'bad' if one.told and one.told.is_shown else 'good' if one.told else 'note'}'>"
        f"{text(one.text)}</span></li>"
        for one in found
    )
    return [
        "<h3>What the marks tell by themselves</h3><p>Labels predicted without a look at any picture, each "
        "image by what was learned on others, by a regression. Layout and marks come from original and "
        "marked image together: nobody who has only the release sees as much, so this is an upper bound. An "
        f"interval that holds 0.50 is what chance gives.</p><ul>{sentences}</ul>"
    ]


def _best_words(best: Best) -> str:
    if not best.n:
        return "<p>It is right on none of these images when they are clean, so nothing can be left.</p>"
    return (
        f"<p>Somebody who tries all attacks, and is told whenever an answer is right, gets at most "
        f"<b>{left_text(Left(best.right, best.n))}</b>. Nobody is told that, so this is an upper bound: "
        f"among so many answers any given wrong class occurs by luck on {percent(best.luck)} of the images. "
        f"The best attack by itself is <i>{text(best.single)}</i>: "
        f"{left_text(Left(best.single_right, best.n))}.</p>"
    )


def _table(rows: Sequence[Row]) -> str:
    told = "information left, points"
    head = [
        "attack",
        "the attacker knows",
        "left",
        "",
        "control",
        told,
        "PSNR, dB",
        "SSIM",
        "seconds an image",
    ]
    return table(head, map(_row, worst_first(rows)), words=2)


def _row(row: Row) -> list[str]:
    left = Left(row.right, row.n)
    decibels = "-" if row.psnr_region is None else f"{row.psnr_region:.1f} ({row.psnr_region_p90 or 0.0:.1f})"
    likeness = "-" if row.ssim_region is None else f"{row.ssim_region:.2f}"
    told = "-" if row.information is None else gain_text(row.information.plain)
    return [
        f'{text(row.attack)}<br><span class="note">{_DOES.get(row.number) or text(row.knows)}</span>',
        text(row.knows),
        number(left_text(left)),
        bar(left, _COLOR if row.combined else _BEYOND_COLOR),
        *(number(cell) for cell in (percent(row.control), told, decibels, likeness, f"{row.seconds:.2f}")),
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
