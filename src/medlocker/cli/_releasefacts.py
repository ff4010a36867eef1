"""What a release says about itself, its signature not checked."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from medlocker.errors import MalformedError
from medlocker.files import read_limited

STATEMENT = Path("certificate", "statement.dsse.json")
"""Where the statement of a finished release lies in it."""
_MAX_BYTES = 1 << 24


def release_facts(path: Path) -> dict[str, Any]:
    """Return what a release's statement says, its signature not checked.

    Raises:
        InputError: If there is none that can be read.
        MalformedError: If it is no statement.
    """
    data = read_limited(path / STATEMENT, max_bytes=_MAX_BYTES, what="statement")
    try:
        statement = json.loads(base64.b64decode(json.loads(data)["payload"]))
        predicate = dict(statement["predicate"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedError(
            f"{STATEMENT.name}: expected a DSSE envelope with an in-toto statement", subject=STATEMENT.name
        ) from error
    return {"what": "release, signature not checked", **predicate}
