"""What strangers can change while nobody looks, key by key: refused in one sentence of ours, or borne."""

from __future__ import annotations

import base64
import copy
import io
import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3
from fuzz_mutations import Mutation, cut, flip, flip_early, mutate_text, remove, repeat
from nasty_others import TEXTURE

from medlocker.certificates import IndexEntry, Owner, SigningKey
from medlocker.certificates._dsse import PAYLOAD_TYPE, pae
from medlocker.certificates._statement import read_statement
from medlocker.dicomweb._http import _answer, _explained
from medlocker.dicomweb._multipart import dicom_file
from medlocker.dicomweb._qido import read_json
from medlocker.errors import MedlockerError
from medlocker.logo import LEARNED_FILE, LOGO_FILE, builtin_logo, load_learned
from medlocker.protect import Outcome
from medlocker.release import status_of
from medlocker.release._journal import Journal, lines_path
from medlocker.store import _CODE, _line, read_unproved

SEEDS = range(6)
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1 << 31, 1 << 70, 1.5, float("inf"), float("nan")),
    *("", "\0", "\ud800", "../../x", "9" * 5000, [], {}, [[]], {"": None}, [None] * 300),
)
"""What stands where something else should."""
BLIND: tuple[Mutation, ...] = (flip, flip_early, cut, remove, repeat)


def changed_values(value: Any, seed: int) -> Iterator[Any]:
    """Yield a JSON value once for each of its places, with the place left out, doubled or filled oddly."""
    rng = random.Random(seed)
    for path in list(_places(value)):
        made = copy.deepcopy(value)
        inside = made
        for key in path[:-1]:
            inside = inside[key]
        how = rng.randrange(4)
        if how == 0:
            del inside[path[-1]]
        elif how == 1 and isinstance(inside, dict):
            inside[f"{path[-1]} "] = inside[path[-1]]
        else:
            inside[path[-1]] = rng.choice(ODD)
        yield made


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys: Any = (
        value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield (*path, key)
        yield from _places(value[key], (*path, key))


def read_or_refused(read: Callable[[], object]) -> None:
    """Read; an error of ours must be one sentence."""
    try:
        read()
    except MedlockerError as error:
        assert str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017


# ----------------------------------------------------------------------------------------------- statements


VECTORS = Path(__file__).parent.parent / "vectors"


def _vector(name: str) -> dict[str, Any]:
    return dict(json.loads((VECTORS / f"{name}.json").read_bytes()))


@pytest.fixture(scope="module")
def signing() -> SigningKey:
    return SigningKey.from_pem(_vector("key/sign-key")["private_pem"].encode("ascii"), what="key")


@pytest.mark.parametrize("seed", SEEDS)
def test_every_key_of_a_statement(signing: SigningKey, seed: int) -> None:
    envelope = json.loads(base64.b64decode(_vector("statement/good")["data"]))
    for value in changed_values(envelope, seed):
        read_or_refused(partial(read_statement, json.dumps(value).encode(), owner=signing.public))
    for value in changed_values(json.loads(base64.b64decode(envelope["payload"])), seed):
        data = json.dumps(value).encode()
        signature = base64.b64encode(signing.sign(pae(PAYLOAD_TYPE, data))).decode("ascii")
        made = {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(data).decode("ascii"),
            "signatures": [{"keyid": "", "sig": signature}],
        }
        read_or_refused(partial(read_statement, json.dumps(made).encode(), owner=signing.public))


# -------------------------------------------------------------------------------------------- learned logos


LEARNED = json.dumps(
    {
        "kind": "medlocker learned logo",
        "version": 1,
        "levels": 8,
        "grey": False,
        "textures": {"*": TEXTURE, "1": TEXTURE},
        "facts": {"models": [{"name": "a", "sha256": "0" * 64}], "images": 3},
    }
).encode("ascii")


@pytest.mark.parametrize("seed", SEEDS)
def test_every_key_of_a_learned_logo(tmp_path: Path, seed: int) -> None:
    (tmp_path / LOGO_FILE).write_bytes(builtin_logo().to_png())
    sound = LEARNED
    (tmp_path / LEARNED_FILE).write_bytes(sound)
    assert load_learned(tmp_path).levels == 8
    for value in changed_values(json.loads(sound), seed):
        (tmp_path / LEARNED_FILE).write_text(json.dumps(value))
        read_or_refused(lambda: load_learned(tmp_path))
    rng = random.Random(seed)
    for change in BLIND:
        (tmp_path / LEARNED_FILE).write_bytes(change(sound, rng))
        read_or_refused(lambda: load_learned(tmp_path))


# ------------------------------------------------------------------------------------------------- journals


RUN: dict[str, str | int] = {"fingerprint": "x", "images": 4}


@pytest.fixture
def journal(tmp_path: Path, owner: Owner) -> bytes:
    with closing(Journal(tmp_path, run=RUN, owner=owner)) as made:
        for index in range(2):
            outcome = Outcome(index, f"{index}.png", "marked", "", clean_correct=(True,), fooled=(True,))
            made.add(
                outcome,
                entry=IndexEntry(index, f"{index}.png", "f" * 64, "a" * 64),
                record=b"sealed",
                series="s",
            )
        made.drop(1)
    return lines_path(tmp_path).read_bytes()


def opened(release: Path, owner: Owner) -> None:
    with closing(Journal(release, run=RUN, owner=owner)) as journal:
        for index in sorted(journal.done):
            assert journal.done[index].outcome.index == index
        list(journal.marked())


@pytest.mark.parametrize("seed", SEEDS)
def test_lines_that_strangers_change(tmp_path: Path, owner: Owner, journal: bytes, seed: int) -> None:
    rng = random.Random(seed)
    for change in BLIND:
        lines_path(tmp_path).write_bytes(change(journal, rng))
        read_or_refused(lambda: status_of(tmp_path))
        read_or_refused(lambda: opened(tmp_path, owner))
    lines_path(tmp_path).write_bytes(mutate_text(journal, rng, journal))
    read_or_refused(lambda: status_of(tmp_path))
    read_or_refused(lambda: opened(tmp_path, owner))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_key_of_lines_that_the_key_proves(
    tmp_path: Path, owner: Owner, journal: bytes, seed: int
) -> None:
    """Of an older or a broken program of the owner's."""
    head, *values = read_unproved(lines_path(tmp_path))
    first = journal.splitlines(keepends=True)[0]
    key = owner.signing.derive("run")
    for changed in changed_values(values, seed):
        before, lines = first[:_CODE].decode("ascii"), [first]
        for value in changed:
            with suppress(ValueError):  # no JSON: nobody writes it
                before, line = _line(key, before, value)
                lines.append(line)
        lines_path(tmp_path).write_bytes(b"".join(lines))
        read_or_refused(lambda: status_of(tmp_path))
        read_or_refused(lambda: opened(tmp_path, owner))
    assert head["run"] == RUN


# ---------------------------------------------------------------------------------------- a server's headers


HEADERS = (
    {"Content-Type": "multipart/related; type=application/dicom; boundary=XbX"},
    {"Content-Type": 'multipart/related; boundary="XbX"', "Content-Encoding": "identity"},
    {"Content-Type": "application/dicom+json; charset=utf-8", "Transfer-Encoding": "chunked"},
    {"Content-Type": "multipart/related; boundary*0*=utf-8''Xb; boundary*1=X"},
)
BODY = b"--XbX\r\nContent-Type: application/dicom\r\n\r\n" + bytes(128) + b"DICM\r\n--XbX--"


def asked(headers: dict[str, str]) -> None:
    response = urllib3.HTTPResponse(io.BytesIO(BODY), headers=headers, preload_content=False)
    with _explained():
        answer = _answer(response)
        if answer.media.endswith("json"):
            read_json(answer.read(max_bytes=1000))
        else:
            b"".join(dicom_file(answer, max_bytes=1000))


@pytest.mark.parametrize("sound", HEADERS)
@pytest.mark.parametrize("seed", SEEDS)
def test_headers_of_a_server(sound: dict[str, str], seed: int) -> None:
    rng = random.Random(seed)
    for name, value in sound.items():
        data = value.encode("ascii")
        for made in (*(change(data, rng) for change in BLIND), mutate_text(data, rng, data)):
            read_or_refused(partial(asked, {**sound, name: made.decode("latin-1")}))
