"""What each attacker is in plain words, and what came back for him."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medlocker.evaluate._attacked import Removal, rows_by_number
from medlocker.evaluate._cases import Case
from medlocker.evaluate.removal import USERS_NUMBER, Gap, Row

_CHANGES_NO_PIXELS = frozenset({11, 12, 13, 15})
_NETWORK, _MERGED, _NOTHING = 10, 14, 1


@dataclass(frozen=True)
class AttackerWords:
    """One attacker in words that somebody understands who is no programmer.

    Args:
        title: What it is called.
        brief: What is done to a marked image, in some words.
        does: The same in two or three sentences.
        skill: What he must be able to do.
        data: What he must have besides one marked image and the model.
    """

    title: str
    brief: str
    does: str
    skill: str
    data: str


_ANYBODY = "none: any image viewer does it"
_SOME = "some: a few lines with a free image library"
_MUCH = "much: he must write and tune a program of his own"
_TRAINS = "much: he must train a neural network, and needs a fast computer for it"
_NOTHING_ELSE = "nothing else"

ATTACKERS = {
    1: AttackerWords(
        "Asks the model as it is",
        "nothing is done",
        "The marked image goes to the model just as the release holds it. Whoever comes upon the files "
        "does this.",
        "none",
        _NOTHING_ELSE,
    ),
    2: AttackerWords(
        "Saves the image as JPEG",
        "saved as JPEG of that quality",
        "The image is saved with fewer details, as mail programs and viewers often do. Fine patterns of a"
        " mark may be lost by it, and fine details of the image too.",
        _ANYBODY,
        _NOTHING_ELSE,
    ),
    3: AttackerWords(
        "Softens the image",
        "softened: Gaussian blur of that sigma, or median of that many pixels",
        "The image is blurred a little before the model sees it. Thin lines of a mark fade, and small "
        "lesions too.",
        _ANYBODY,
        _NOTHING_ELSE,
    ),
    4: AttackerWords(
        "Scales, crops or mirrors",
        "scaled down by that factor and up again, its rim cut off, or mirrored",
        "The image is made smaller and larger again, cut at its rim, or mirrored. A mark that was made "
        "for one exact place or size may lose its effect.",
        _ANYBODY,
        _NOTHING_ELSE,
    ),
    5: AttackerWords(
        "Takes out noise",
        "noise taken out as from a poor photograph, or fewer shades",
        "Programs that mend poor photographs are applied to the marked image. They smooth what looks like"
        " noise, which a textured mark may.",
        _SOME,
        _NOTHING_ELSE,
    ),
    6: AttackerWords(
        "Undoes a known logo",
        "the logo is found and its blending undone",
        "He has the owner's logo and this open program. He finds where the logo lies and how opaque it "
        "is, and calculates the pixels under it. Where it works, the image comes back nearly as it was.",
        _MUCH,
        "the owner's logo",
    ),
    7: AttackerWords(
        "Undoes a known logo that was bent or textured",
        "the same, with a guess how this mark was bent or textured",
        "The logo is known, but each mark was bent or textured by a key. He guesses how, image by image "
        "or from what many images have in common, and then calculates the pixels under it.",
        _MUCH,
        "the owner's logo; for the average many marked images",
    ),
    8: AttackerWords(
        "Cuts out the mark and fills the hole",
        "the mark is cut out, and the hole is filled from around it",
        "He paints over the mark by hand, and a program fills the hole from its surroundings. What was "
        "under the mark does not come back: it is guessed.",
        _SOME,
        _NOTHING_ELSE,
    ),
    9: AttackerWords(
        "Compares many marked images",
        "what many marked images have in common is taken off",
        "Many images with the same mark are laid over each other. What they have in common is the mark, "
        "and that is taken off every one.",
        _MUCH,
        "many marked images",
    ),
    10: AttackerWords(
        "Trains a network that takes off marks",
        "a network that was trained to take off marks made with this program",
        "He marks images of his own with this open program, and trains a network to give the unmarked "
        "ones back. Then he lets it work on the release.",
        _TRAINS,
        "clean images of the same kind, the owner's logo",
    ),
    11: AttackerWords(
        "Covers part by part and counts answers",
        "parts are covered one after the other, and the model's answers are counted",
        "The model is asked many times about the same image, each time with another part covered. If only"
        " the mark misleads it, the answers without the mark agree.",
        _SOME,
        _NOTHING_ELSE,
    ),
    12: AttackerWords(
        "Asks about many cuttings and counts answers",
        "the model is asked about many cuttings, and its answers are counted",
        "The model is asked about many cuttings of one image, and the answer that most of them give is "
        "taken.",
        _SOME,
        _NOTHING_ELSE,
    ),
    13: AttackerWords(
        "Trains the model on with marked images",
        "the model is trained on with marked images",
        "He has the true diagnoses of many marked images, and trains the model on with them until it "
        "reads through the marks. No visible mark prevents that.",
        _TRAINS,
        "many marked images with their true diagnoses",
    ),
    14: AttackerWords(
        "Merges two versions of one image",
        "the pixels under one mark are taken from the other version",
        "He has the same image twice, marked in different places. The pixels under one mark lie open in "
        "the other version. A release never gives two.",
        _SOME,
        "a second marked version of the same image",
    ),
    15: AttackerWords(
        "Trains the model on marks of his own",
        "the model is trained on with clean images, on which random marks were painted",
        "He expects such marks. He paints random ones with this open program on clean images with known "
        "diagnoses, and trains the model on with them. He needs no marked image.",
        _TRAINS,
        "many clean images of the same kind with their true diagnoses, the owner's logo",
    ),
    16: AttackerWords(
        "Undoes a lattice of a known logo",
        "the lattice of a veil is found, and the blending of its copies undone",
        "He has the owner's logo and this open program. He finds where the copies of the logo lie in the "
        "lattice and how opaque they are, and calculates the pixels under them.",
        _MUCH,
        "the owner's logo",
    ),
    17: AttackerWords(
        "Takes off what repeats",
        "what repeats in a veil is taken off",
        "A veil repeats the same copy many times. He averages the copies of one image, or filters out "
        "what repeats regularly, and takes that off.",
        _MUCH,
        _NOTHING_ELSE,
    ),
    18: AttackerWords(
        "Paints a veil over",
        "a veil is painted over from what it leaves free",
        "He marks the lines of the veil, and a program fills them from the pixels between them. What was "
        "under the lines is guessed.",
        _SOME,
        _NOTHING_ELSE,
    ),
}
"""By the number of an attack; the numbers are those of docs/THREAT_MODEL.md."""

EVERY_ATTACKER = ATTACKERS | {
    USERS_NUMBER: AttackerWords(
        "Attacks of your own",
        "an attack of your own",
        "What you named when you asked for this report.",
        _MUCH,
        "what you gave it",
    )
}
"""The same with what a user named."""


@dataclass(frozen=True, eq=False)
class Attacker:
    """One attacker as the page shows him.

    Args:
        number: Of the attack.
        words: What is said of him.
        rows: What he got, the most first; empty if he was not tried.
        cases: Pictures of the attack that tells most: where it got most, and where it got least.
        gaps: Why he has no row, or one that lacks images.
    """

    number: int
    words: AttackerWords
    rows: tuple[Row, ...]
    cases: tuple[Case, ...]
    gaps: tuple[Gap, ...]

    @property
    def best(self) -> Row | None:
        """What tells most, of all his variants and of all models."""
        return self.rows[0] if self.rows else None

    @property
    def seconds(self) -> float:
        """Of an image and a variant, the slowest."""
        return max((row.seconds for row in self.rows), default=0.0)

    @property
    def without_pictures(self) -> str:
        """Why there are no pictures; empty where some can be expected."""
        if self.number == _NOTHING:
            return "The picture is the marked image itself."
        if self.number in _CHANGES_NO_PIXELS:
            return "There are no pictures: this attacker leaves the pixels as they are."
        if self.number == _NETWORK:
            return "There are no pictures: what the network has learned is not kept."
        if self.number == _MERGED:
            return "There are no pictures: a release gives no second version."
        return "" if self.cases else "There are no pictures: the attack was not made again."


def view_attackers(removal: Removal) -> tuple[Attacker, ...]:
    """Return all attackers there are, by their numbers, those that were not tried too, and a user's own."""
    found = rows_by_number(removal.battery.rows)
    return tuple(
        Attacker(
            number,
            words,
            tuple(found.get(number, ())),
            tuple(case for case in removal.cases if case.number == number),
            tuple(gap for gap in removal.battery.gaps if gap.number == number),
        )
        for number, words in EVERY_ATTACKER.items()
        if number != USERS_NUMBER
        or number in found
        or any(gap.number == number for gap in removal.battery.gaps)
    )


def by_cost(attackers: Sequence[Attacker]) -> list[Attacker]:
    """Return those that were tried, the cheapest first: by skill, then by time."""
    skills = ["none", _ANYBODY, _SOME, _MUCH, _TRAINS]
    tried = [one for one in attackers if one.rows]
    return sorted(tried, key=lambda one: (skills.index(one.words.skill), one.seconds))
