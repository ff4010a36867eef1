"""The one style: enough contrast in both schemes, and focus that can be seen."""

from __future__ import annotations

import re

import pytest

from medlocker.pages import stylesheet

TEXT, GRAPHICS = 4.5, 3.0
"""WCAG 2.2, level AA: 1.4.3 for text, 1.4.11 for what is needed to understand a graphic."""
GROUNDS = ("paper", "tint", *(f"heat{k}" for k in range(5)))


def colours(*, dark: bool) -> dict[str, tuple[int, ...]]:
    light, _, rest = stylesheet().partition("@media screen and (prefers-color-scheme:dark)")
    found = re.findall(r"--(\w+):#([0-9a-f]+)", light)
    if dark:
        found += re.findall(r"--(\w+):#([0-9a-f]+)", rest.partition("}}")[0])
    full = {name: "".join(c * 2 for c in value) if len(value) == 3 else value for name, value in found}
    return {name: tuple(bytes.fromhex(value)) for name, value in full.items()}


def luminance(colour: tuple[int, ...]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    dim, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dim + 0.05)


def test_contrast_is_measured_as_wcag_does() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == 21
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_has_enough_contrast(dark: bool) -> None:
    known = colours(dark=dark)
    pairs = [(text, ground) for text in ("ink", "soft") for ground in GROUNDS]
    pairs += [(text, ground) for text in ("link", "good", "bad") for ground in ("paper", "tint")]
    low = {pair: contrast(known[pair[0]], known[pair[1]]) for pair in pairs}
    assert {pair: value for pair, value in low.items() if value < TEXT} == {}


@pytest.mark.parametrize("dark", [False, True])
def test_every_mark_of_a_chart_has_enough_contrast(dark: bool) -> None:
    known = colours(dark=dark)
    pairs = [(mark, ground) for mark in ("bar", "control", "beyond") for ground in ("paper", "track")]
    pairs += [("ink", mark) for mark in ("paper", "track")]
    low = {pair: contrast(known[pair[0]], known[pair[1]]) for pair in pairs}
    assert {pair: value for pair, value in low.items() if value < GRAPHICS} == {}


def test_whatever_takes_the_focus_shows_it() -> None:
    rules = re.findall(r"([^{}]+)\{[^{}]*outline:3px solid", stylesheet())
    shown = {part.strip() for rule in rules for part in rule.split(",")}
    wanted = ("a", "button", "input", "select", "textarea", "summary", ".scroll")
    assert shown >= {f"{name}:focus-visible" for name in wanted}
    assert "outline:0" not in stylesheet()
    assert "outline:none" not in stylesheet()
