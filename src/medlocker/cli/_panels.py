"""How the help of a long command looks: headings above groups of options, examples at the end."""

from __future__ import annotations

INPUT = "Input"
MARKS = "Marks"
KEEP_OUT = "Keep-out regions"
SEARCH = "Models and search"
CERTIFICATE = "Certificate"
RUN = "Run"
CONTROL = "Control: the same logo at random places"
REMOVAL = "Attacks that remove the marks"
TRAINING = "Training"


def epilog(text: str) -> str:
    """Join the lines of paragraphs, which typer would break twice; examples keep theirs."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(one if one.startswith("medlocker") else one.replace("\n", " ") for one in paragraphs)
