"""`medlocker key`: make the keys of an owner or a recipient."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medlocker.cli._console import note, print_json, stdout
from medlocker.cli._options import AsJson

app = typer.Typer(help="Make keys.", no_args_is_help=True)


@app.command("new")
def new(
    out: Annotated[
        Path, typer.Option(metavar="NAME", help="Path without endings, for instance keys/hospital.")
    ],
    json: AsJson = False,
) -> None:
    """Make a pair that signs (NAME.sign.key, NAME.sign.pub) and one that opens (NAME.age.key, NAME.age.pub).

    The .pub files are for giving away. The .key files stay with you, readable by you alone: keep a copy in a
    safe place, for without NAME.age.key nothing can be restored.
    """
    from medlocker.certificates import AGE_PUB, SIGN_PUB, load_recipient, load_verify_key, new_owner

    paths = new_owner(out)
    sign, age = load_verify_key(paths.path(SIGN_PUB)), load_recipient(paths.path(AGE_PUB))
    if json:
        files = [str(path) for path in paths.all]
        print_json(
            {"files": files, "sign_key_id": sign.key_id, "age_key_id": age.key_id, "recipient": age.text}
        )
        return
    for path in paths.all:
        stdout.print(str(path), markup=False)
    note(f"signing key id: {sign.key_id}")
    note(f"age recipient: {age.text}, key id {age.key_id}")
    note("keep a copy of the two .key files in a safe place: without them nothing can be restored")
