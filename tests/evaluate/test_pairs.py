from __future__ import annotations

from pathlib import Path

import pytest

from medlocker.errors import InputError
from medlocker.evaluate import Original, Release, pair_up
from medlocker.evaluate._pairs import condition_keys, panel_keys


def originals(**names: str) -> list[Original]:
    return [Original(name, Path("clean", name), marked) for name, marked in names.items()]


def release(*names: str, folder: str = "r") -> Release:
    return Release(folder, {name: Path(folder, name) for name in names})


def test_the_name_that_protect_gives_goes_first() -> None:
    both = originals(**{"a.jpg": "a.jpg.png", "a.png": "a.png"})
    found = pair_up(both, [release("a.png", "a.jpg.png")])
    assert [pair.marked for pair in found.pairs] == [(Path("r/a.jpg.png"),), (Path("r/a.png"),)]


def test_a_file_belongs_to_one_original() -> None:
    both = originals(**{"a.jpg": "a.jpg.png", "a.png": "a.png"})
    found = pair_up(both, [release("a.png")])
    assert [pair.name for pair in found.pairs] == ["a.png"]
    assert found.only_clean == ("a.jpg",)


@pytest.mark.parametrize("marked", ["x/a.jpg", "x/a.png", "x/a.jpg.png"])
def test_other_names_of_a_plain_folder(marked: str) -> None:
    found = pair_up(originals(**{"x/a.jpg": "x/a_7.png"}), [release(marked, "x/b.png")])
    assert found.pairs[0].marked == (Path("r", marked),)
    assert found.only_marked == (("x/b.png",),)


def test_an_image_that_one_release_lacks_goes_on() -> None:
    some = originals(**{"a.png": "a.png", "b.png": "b.png"})
    found = pair_up(some, [release("a.png"), release("a.png", "b.png", folder="s")])
    assert [pair.marked for pair in found.pairs] == [
        (Path("r/a.png"), Path("s/a.png")),
        (None, Path("s/b.png")),
    ]


def test_nothing_in_common() -> None:
    with pytest.raises(InputError) as caught:
        pair_up(originals(**{"a.png": "a.png"}), [release("b.png"), release("c.png", folder="s")])
    assert str(caught.value) == "expected marked versions of the originals in r, s, found none"


def test_conditions_have_different_names() -> None:
    assert condition_keys(["paper"]) == ("protected",)
    assert condition_keys(["paper", "strong"]) == ("paper", "strong")
    assert condition_keys(["a", "a", "clean"]) == ("a", "a (2)", "clean (2)")


def test_panels_are_named_after_their_release() -> None:
    assert panel_keys(("protected",)) == ("panel",)
    assert panel_keys(("a", "panel: a")) == ("panel: a (2)", "panel: panel: a")
    assert condition_keys(["panel", "panel"]) == ("panel (2)", "panel (3)")
