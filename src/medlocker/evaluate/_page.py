"""The report as one page for people: what answers still tell, how images look, where marks are weakest."""

from __future__ import annotations

from collections.abc import Sequence

from medlocker.errors import Failure, InputError
from medlocker.evaluate import _page_words as prose
from medlocker.evaluate._attacked import Removal
from medlocker.evaluate._headline import findings
from medlocker.evaluate._html import html_page, slider, text, thumbnail
from medlocker.evaluate._json import Extra
from medlocker.evaluate._numbers import Numbers, TargetNumbers
from medlocker.evaluate._page_tables import (
    class_table,
    left_text,
    metrics_table,
    percent,
    quality_table,
    transfer_table,
)
from medlocker.evaluate._pairs import CLEAN, RANDOM
from medlocker.evaluate._qualities import ReleaseQuality
from medlocker.evaluate._quality import Quality
from medlocker.evaluate._removal_page import removal_section

_SHOWN, _WORST_SHOWN, _LISTED = 6, 6, 50
_FEW = 30


def report_page(
    numbers: Numbers, qualities: Sequence[ReleaseQuality], *, extra: Extra, removal: Removal | None = None
) -> bytes:
    """Return the page; reads the few images that it shows once more."""
    result = numbers.result
    shown = _spread_over_classes(numbers)
    stubborn = _stubborn(numbers)
    names = {
        key: release.folder for key, release in zip(numbers.keys, result.evaluation.releases, strict=True)
    }
    worst = [image for quality in qualities[:1] for image, _ in quality.worst]
    count = len(numbers.targets)
    asked = "one model was" if count == 1 else f"{count} models were"
    parts = [
        "<h1>How well the marks protect</h1>",
        f"<p>{len(result.images)} images with an original, a label and a marked version; {asked} asked.</p>",
        "<h2>What the answers still tell</h2>",
        prose.HEADLINE,
        _in_words(numbers),
        transfer_table(numbers),
        prose.CONTROLS.format(first=text(names[numbers.keys[0]])),
        "<h2>Every model</h2>",
        prose.READING,
        *(
            f"<h3>{text(t.target.name)}</h3>{metrics_table(numbers, t)}{class_table(numbers, t)}"
            for t in numbers.targets
        ),
        removal_section(removal),
        "<h2>How well people can still read them, and how much they change</h2>",
        prose.LEGIBILITY,
        quality_table(qualities, names),
        *(_quality_words(quality, names[quality.condition]) for quality in qualities),
        "<h3>Hardest to read</h3><p>Those whose regions were touched, if any, then those that keep the least "
        "local contrast.</p>",
        _figures(numbers, worst[:_WORST_SHOWN]),
        f"<h2>Some images</h2><p>{prose.LOOK} Taken class by class, not the best ones. "
        f"All pictures are of {text(result.evaluation.releases[0].folder)}.</p>",
        _figures(numbers, shown),
        "<h2>Weakest: still answered rightly by most models</h2>",
        _figures(numbers, stubborn) or "<p>No marked image is still answered rightly.</p>",
        _list("Left out", extra.skipped),
        _list("Failed", (*extra.failed_targets, *result.failed, *extra.broken)),
        _list("Notes", extra.notes),
        prose.PROMISE.format(condition=prose.AS_THEY_ARE if removal is None else prose.AND_ATTACKS),
    ]
    return html_page("medlocker: how well the marks protect", "\n".join(parts))


_TONES = {
    "nothing": "good",
    "little": "good",
    "something": "bad",
    "turned": "bad",
    "useless": "note",
    "unknown": "note",
}


def _in_words(numbers: Numbers) -> str:
    """Say for each model what its answers still tell, what was right, and how far the images carry."""
    sentences = []
    several = len(numbers.keys) > 1
    for target in numbers.targets:
        clean, random = (target.numbers(key) for key in (CLEAN, RANDOM))
        sentence = (
            f"<b>{text(target.target.name)}</b> answers {len(target.clean_correct)} of {clean.n} originals "
            "rightly."
        )
        for position, found in enumerate(findings(numbers, target)):
            known = (
                "the marks were searched on it" if target.white_box[position] else "the marks never met it"
            )
            where = f"On {text(found.condition)} ({known})" if several else f"On marked images ({known})"
            sentence += f"<br>{where}: <span class='{_TONES[found.kind]}'>{text(found.text)}</span>. "
            marked = target.numbers(found.condition)
            if marked.left.n:
                sentence += (
                    f"Right on {percent(marked.accuracy)} of all; of those right before, still right: "
                    f"{left_text(marked.left)}; with logos at random places: {left_text(random.left)}."
                )
            if 0 < marked.left.n < _FEW:
                sentence += f" {marked.left.n} images are few: read the interval, not the share."
        sentences.append(f"<li>{sentence}</li>")
    return (
        f"<ul>{''.join(sentences)}</ul><p>Two numbers in brackets are the interval in which the true one "
        "lies with 95 % confidence, if these images stand for all images of their kind. It says nothing of "
        "other cameras, clinics or models.</p>"
    )


def _spread_over_classes(numbers: Numbers) -> list[int]:
    """Choose images class by class, in the order of the data set."""
    by_label: dict[str, list[int]] = {}
    for image, judged in numbers.result.images.items():
        if numbers.keys[0] in judged.qualities:
            by_label.setdefault(judged.label, []).append(image)
    chosen: list[int] = []
    for turn in range(_SHOWN):
        chosen += [images[turn] for images in by_label.values() if turn < len(images)]
    return sorted(chosen[:_SHOWN])


def _stubborn(numbers: Numbers) -> list[int]:
    """Return the images on which most models are still right, at least one."""
    count = numbers.still_right
    ranked = sorted((image for image in count if count[image]), key=lambda image: (-count[image], image))
    return ranked[:_WORST_SHOWN]


def _figures(numbers: Numbers, images: Sequence[int]) -> str:
    figures = "\n".join(_figure(numbers, image) for image in images)
    return f'<div class="grid">{figures}</div>' if figures else ""


def _figure(numbers: Numbers, image: int) -> str:
    judged = numbers.result.images[image]
    marked = judged.pair.marked[0]
    quality = judged.qualities.get(numbers.keys[0])
    caption = f"{text(judged.pair.name)}, label {text(judged.label)}<br>"
    caption += "<br>".join(_answers(numbers, target, image) for target in numbers.targets)
    if quality is not None:
        caption += f'<br><span class="note">{_legible(quality)}</span>'
    if marked is None:
        return ""
    try:
        return slider(thumbnail(judged.pair.clean), thumbnail(marked), caption)
    except InputError:  # it was there a moment ago
        return f"<figure><figcaption>{caption}<br>no longer readable</figcaption></figure>"


def _legible(quality: Quality) -> str:
    seen = quality.legibility
    kept = "" if seen.contrast is None else f"{seen.contrast:.0%} of the local contrast kept, "
    decibels = "" if seen.psnr == float("inf") else f"PSNR {seen.psnr:.1f} dB, "
    return f"{kept}{decibels}SSIM {seen.ssim:.3f}, {quality.area_clear:.1%} clearly changed"


def _answers(numbers: Numbers, target: TargetNumbers, image: int) -> str:
    """Return what a model says of the original and of the marked image."""
    words = []
    for key in (CLEAN, numbers.keys[0]):
        answer = target.answer(key, image)
        tone = "good" if target.is_right(key, image) else "bad"
        name = "-" if answer is None else target.target.model.classes[answer]
        words.append(f'<span class="{tone}">{text(name)}</span>')
    return f"{text(target.target.name)}: {' &rarr; '.join(words)}"


def _quality_words(quality: ReleaseQuality, name: str) -> str:
    if quality.covered == quality.n:
        words = f"{text(name)}: the marks lie over nearly all of each image."
    else:
        words = _outside_words(quality, name)
    if quality.touched is not None:
        words += f" Pixels of regions that were touched, looked at one by one: <b>{quality.touched}</b>."
    if quality.unmarked:
        words += f" <b>{quality.unmarked} images carry no mark at all.</b>"
    return f"<p>{words}</p>"


def _outside_words(quality: ReleaseQuality, name: str) -> str:
    """Say what is known of the pixels away from single marks."""
    words = (
        f"{text(name)}: {quality.identical_outside} of {quality.n} images are identical to their originals "
        f"outside the marks; {quality.marks:.1f} marks on an image."
    )
    if quality.covered:
        words += f" On {quality.covered} of {quality.n} the mark lies over nearly all of the image."
    if quality.in_blocks:
        words += (
            f" {quality.in_blocks} of the images are JPEG. It stores small blocks, of 8 by 8 pixels and for "
            "colour mostly of 16 by 16, and a mark changes whole ones: so more changes than the logo covers, "
            "but faintly. Outside the marks means: away from these blocks and from their neighbours, into "
            "which viewers spread colour. All other blocks were compared as they are stored."
        )
    return words


def _list(title: str, items: Sequence[Failure | str]) -> str:
    if not items:
        return ""
    lines = [f"<li>{text(str(one))}</li>" for one in items]
    if len(lines) > _LISTED:
        lines[_LISTED:] = [f"<li>... and {len(lines) - _LISTED} more, see report.json</li>"]
    return f"<h2>{title}</h2><ul class='note'>{''.join(lines)}</ul>"
