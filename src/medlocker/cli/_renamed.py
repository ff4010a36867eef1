"""Options under their former names: they work for one more release, and are in no help."""

from __future__ import annotations

from collections.abc import Sequence

from medlocker.cli._console import note
from medlocker.errors import InputError

_MARKING = {
    "--aim": "--objective",
    "--legibility": "--min-psnr",
    "--levels": "--texture-bound",
    "--marks": "--max-marks",
}

RENAMED = {
    "protect": {
        **_MARKING,
        "--against": "--robust-to",
        "--bear-shrinking": "--robust-to-downscaling",
        "--give-up": "--abandon-run",
        "--opaque": "--harden-opaque",
        "--partial": "--allow-partial",
        "--placement": "--marks-per",
        "--rotation": "--max-rotation",
        "--same-mark": "--allow-identical-mark",
        "--texture": "--harden-texture",
        "--warp": "--harden-warp",
    },
    "prepare": {**_MARKING, "--rounds": "--epochs", "--sample": "--sample-size"},
    "train": {"--validation": "--validation-split"},
}
"""Per command, from the former name of an option to today's."""


def with_new_names(command: str, arguments: Sequence[str]) -> list[str]:
    """Replace former names of options; each is said once on stderr.

    Raises:
        InputError: If an option is given under both names.
    """
    renamed = RENAMED.get(command, {})
    result = list(arguments)
    end = result.index("--") if "--" in result else len(result)
    given = {argument.partition("=")[0] for argument in result[:end]}
    for place, argument in enumerate(result[:end]):
        name, equals, value = argument.partition("=")
        if name in renamed:
            if renamed[name] in given:
                raise InputError(
                    f"expected {renamed[name]} once, got it and its former name {name}",
                    hint=f"leave {name} out",
                )
            result[place] = f"{renamed[name]}{equals}{value}"
            note(f"{name} is now called {renamed[name]}; the old name works in this release only")
    return result
