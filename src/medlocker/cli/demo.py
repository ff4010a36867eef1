"""`medlocker demo`: the whole story on built-in images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medlocker.cli._console import note, print_json, stdout
from medlocker.cli._interrupts import interruptible_imports
from medlocker.cli._options import AsJson

if TYPE_CHECKING:
    from medlocker.demo import DemoResult


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that the demo makes.")] = Path(
        "medlocker-demo"
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier demo.")] = False,
    json: AsJson = False,
) -> None:
    """Show the whole story on synthetic images and a built-in model; needs no data, no model, no network.

    Makes 24 synthetic fundus photographs, chooses a veil for them, protects them, asks the model about
    originals, controls and protected images, restores them, compares every byte, and draws a contact sheet
    and a page to look at.
    """
    with interruptible_imports():
        from medlocker.demo import run_demo, write_page, write_sheet

    story = run_demo(out, say=note, overwrite=overwrite)
    write_sheet(story, out / "contact-sheet.png")
    write_page(story, out / "index.html")
    if json:
        print_json(_to_json(story))
        return
    count = len(story.samples.names)
    stdout.print("the built-in model's right answers, and kappa: what its answers tell (0 is nothing)")
    for name, judged in story.answers.items():
        right = int((judged.classes == judged.labels).sum())
        stdout.print(f"  {name:<34} {judged.accuracy:>4.0%}  ({right} of {count})  kappa {judged.kappa:.2f}")
    stdout.print(f"restored byte for byte: {story.identical} of {count}")
    stdout.print(f"look at {out / 'index.html'} and {out / 'contact-sheet.png'}", markup=False)
    stdout.print("a mark raises the cost of unauthorised analysis; it is not access control")


def _to_json(story: DemoResult) -> dict[str, object]:
    return {
        "images": len(story.samples.names),
        "accuracy": {name: judged.accuracy for name, judged in story.answers.items()},
        "kappa": {name: judged.kappa for name, judged in story.answers.items()},
        "identical": story.identical,
        "protect": story.result.json,
        "seconds": round(story.seconds, 3),
    }
