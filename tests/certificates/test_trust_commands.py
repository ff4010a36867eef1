from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from trust_samples import NAMES, Sample, flip

from medlocker.api.grant import parse_until
from medlocker.cli import main
from medlocker.cli._console import shown
from medlocker.errors import InputError


class Terminal:
    """Runs commands in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: object, code: int = 0) -> tuple[str, str]:
        self._monkeypatch.setattr("sys.argv", ["medlocker", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        assert (ended.value.code or 0) == code, out + err
        return out, err

    def json(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        out, _ = self(*arguments, "--json", code=code)
        return dict(json.loads(out))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys)


@pytest.fixture
def pub(pristine: Sample) -> Path:
    return pristine.keys / "owner.sign.pub"


def test_key_new_prints_no_secret(run: Terminal, tmp_path: Path) -> None:
    out, err = run("key", "new", "--out", tmp_path / "h")
    assert out.splitlines() == [
        str(tmp_path / f"h.{end}") for end in ("sign.key", "age.key", "sign.pub", "age.pub")
    ]
    assert "without them nothing can be restored" in err
    assert "SECRET" not in out + err
    value = run.json("key", "new", "--out", tmp_path / "g")
    assert value["recipient"] == (tmp_path / "g.age.pub").read_text().strip()
    assert len(value["sign_key_id"]) == len(value["age_key_id"]) == 64
    _, err = run("key", "new", "--out", tmp_path / "h", code=2)
    assert "error: h.sign.key exists already" in err


def test_verify_says_what_is_signed_and_by_whom(run: Terminal, pristine: Sample, pub: Path) -> None:
    out, err = run("verify", pristine.path, "--owner", pub)
    assert out.startswith("valid: 3 of 3 images are as signed\n")
    assert pristine.pinned.key_id in out
    assert "It is not access control" in err
    value = run.json("verify", pristine.path, "--owner", pub)
    assert value["valid"] is True
    assert (value["images"], value["intact"], value["missing"], value["added"]) == (3, 3, [], [])
    assert value["release"] == pristine.secret.release


def test_verify_exits_3_on_damage(run: Terminal, sample: Sample, pub: Path) -> None:
    flip(sample.image(0))
    sample.image(1).unlink()
    (sample.path / "images" / "new\x1b[31m.png").touch()
    out, _ = run("verify", sample.path, "--owner", pub, code=3)
    assert out.startswith("NOT VALID: 1 of 3 images are as signed\n")
    assert "missing 1:\n  images/left/grey.png\n" in out
    assert "changed 1:\n  images/left/eye.png\n" in out
    assert "added 1:\n  images/new\\x1b[31m.png\n" in out
    assert run.json("verify", sample.path, "--owner", pub, code=3)["changed_count"] == 1


def test_verify_says_what_is_foreign_and_that_the_rest_is_intact(
    run: Terminal, sample: Sample, pub: Path
) -> None:
    for name in ("left/Thumbs.db", "notes.txt"):
        (sample.path / "images" / name).write_bytes(b"x")
    out, _ = run("verify", sample.path, "--owner", pub, code=3)
    assert out.startswith("NOT VALID: 3 of 3 images are as signed\n")
    assert "added 2:\n  images/left/Thumbs.db\n  images/notes.txt\n" in out
    assert "all 3 marked files are intact; what was added is foreign, nobody signed it: " in " ".join(
        out.split()
    )
    flip(sample.image(0))
    assert "intact" not in run("verify", sample.path, "--owner", pub, code=3)[0]


def test_verify_exits_3_on_another_owner(run: Terminal, pristine: Sample) -> None:
    out, err = run("verify", pristine.path, "--owner", pristine.keys / "reader.sign.pub", "--json", code=3)
    message = "statement.dsse.json: the signature is not of the expected owner's key"
    assert json.loads(out)["error"] == message
    assert f"error: {message}" in err


def test_the_owner_may_be_given_by_name(run: Terminal, pristine: Sample, tmp_path: Path) -> None:
    """As `protect` takes it."""
    out, _ = run("verify", pristine.path, "--owner", pristine.keys / "owner")
    assert out.startswith("valid: 3 of 3")
    assert run.json("verify", pristine.path, "--owner", pristine.keys / "reader", code=3)["error"]
    name = ("--owner", pristine.keys / "owner", "--identity", pristine.keys / "owner")
    assert run.json("restore", pristine.path, *name, "--out", tmp_path / "out")["restored"] == 3


def test_verify_of_something_else_says_what_is_missing(run: Terminal, tmp_path: Path, pub: Path) -> None:
    _, err = run("verify", tmp_path, "--owner", pub, code=2)
    assert "expected a finished release, which has certificate/statement.dsse.json" in err
    _, err = run("verify", tmp_path / "no", "--owner", pub, code=2)
    assert "no: expected a release folder, or --release with a file" in err
    _, err = run("verify", tmp_path / "no", "--owner", pub, "--release", tmp_path, code=2)
    assert "expected a finished release" in err
    _, err = run("verify", tmp_path, "--owner", pub, "--identity", pub, code=2)
    assert "with one marked file" in err


def test_verify_of_one_file_and_its_parameters(
    run: Terminal, pristine: Sample, pub: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved.png"
    moved.write_bytes(pristine.image(1).read_bytes())
    base = ("verify", moved, "--owner", pub, "--release", pristine.path)
    out, _ = run(*base)
    assert out.startswith("valid: image 1, left/grey.png\n")
    key = pristine.keys / "owner.age.key"
    value = run.json(*base, "--identity", key)
    assert value["parameters"] == [mark.to_json() for mark in pristine.records[1].marks]
    (tmp_path / "right.json").write_text(json.dumps(value))
    out, _ = run(*base, "--identity", key, "--parameters", tmp_path / "right.json")
    assert "right.json is its parameter list" in out
    value["parameters"][0]["x"] += 1
    (tmp_path / "wrong.json").write_text(json.dumps(value["parameters"]))
    _, err = run(*base, "--identity", key, "--parameters", tmp_path / "wrong.json", code=3)
    assert "error: wrong.json: it is not the parameter list of left/grey.png" in err
    (tmp_path / "bad.json").write_text("{")
    _, err = run(*base, "--identity", key, "--parameters", tmp_path / "bad.json", code=2)
    assert "bad.json: expected a JSON array of marks" in err
    _, err = run(*base, "--parameters", tmp_path / "right.json", code=2)
    assert "expected --identity with --parameters" in err
    moved.write_bytes(b"x")
    _, err = run(*base, code=3)
    assert "the file is not one of this release" in err


def _grant(run: Terminal, sample: Sample, out: Path, *options: object, code: int = 0) -> tuple[str, str]:
    return run(
        "grant", sample.path, "--owner", sample.keys / "owner", "--to", sample.keys / "reader.age.pub",
        "--out", out, *options, code=code,
    )  # fmt: skip


def test_grant_and_restore_end_to_end(run: Terminal, pristine: Sample, pub: Path, tmp_path: Path) -> None:
    out, err = _grant(
        run, pristine, tmp_path / "g", "--images", "left/*", "--purpose", "study", "--until", "2099-12-31"
    )
    assert "grants   2 images" in out
    assert "until    2099-12-31T23:59:59Z" in out
    assert "only the scope is enforced by cryptography" in err
    listed = run.json("grant", "list", tmp_path / "g", "--owner", pub)
    assert (listed["image_count"], listed["images"], listed["purpose"]) == (2, [[0, 1]], "study")
    assert listed["expired"] is False
    base = ("restore", pristine.path, "--owner", pub, "--identity", pristine.keys / "reader.age.key")
    value = run.json(*base, "--grant", tmp_path / "g", "--out", tmp_path / "out")
    assert (value["restored"], value["not_granted"], value["failed"]) == (2, 1, 0)
    assert (tmp_path / "out" / NAMES[0]).is_file()
    _, err = run(*base, "--out", tmp_path / "out2", code=3)
    assert "error: owner's grant: none of the given identities opens it" in err
    assert "use --grant GRANT_DIR" in err
    assert not (tmp_path / "out2").exists()


def test_new_may_be_written_out_and_options_may_come_first(
    run: Terminal, pristine: Sample, tmp_path: Path
) -> None:
    keys = ("--owner", pristine.keys / "owner", "--to", pristine.keys / "reader.age.pub")
    run("grant", *keys, "--out", tmp_path / "a", pristine.path)
    run("grant", "new", pristine.path, *keys, "--out", tmp_path / "b")
    value = run.json("grant", pristine.path, *keys, "--out", tmp_path / "c")
    assert (value["scope"], value["image_count"]) == ("whole", 3)


def test_a_grant_in_the_release_is_refused(run: Terminal, sample: Sample, pub: Path, tmp_path: Path) -> None:
    """Whoever verifies the release would find files that its owner did not sign."""
    (tmp_path / "link").symlink_to(sample.path)
    for out in (
        sample.path,
        sample.path / "g",
        sample.path / "images" / "left" / "g",
        sample.path / "certificate" / "grants" / "g",
        tmp_path / "link" / "g",
        sample.path / "images" / ".." / "g",
    ):
        _, err = _grant(run, sample, out, code=2)
        place = f"{out.name} lies inside the release {sample.path.name}"
        assert f"error: the output {place}, which must not change\n  choose an output elsewhere\n" in err
    assert run("verify", sample.path, "--owner", pub)[0].startswith("valid: 3 of 3")
    beside = sample.path.with_name(sample.path.name + "-grant")
    _grant(run, sample, beside)
    assert (beside / "grant.dsse.json").is_file()


def test_help_of_the_group_says_where_the_options_are(run: Terminal) -> None:
    out, _ = run("grant", "--help")
    told = " ".join(out.split())
    assert "all its options (--images, --until, --purpose) are listed by `medlocker grant new --help`" in told
    assert "medlocker grant release --owner hospital --to alice.age.pub --out alice-grant" in told


def test_grant_takes_a_list(run: Terminal, pristine: Sample, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"\ufeff{NAMES[2]}\n\n{NAMES[0]}\n", encoding="utf-8")
    out, _ = _grant(run, pristine, tmp_path / "g", "--images", tmp_path / "list")
    assert "grants   2 images" in out
    (tmp_path / "list").write_text("right.png\nunknown.png\n")
    _, err = _grant(run, pristine, tmp_path / "h", "--images", tmp_path / "list", code=2)
    assert "list list: 1 names are not in the release, first 'unknown.png'" in err
    (tmp_path / "list").write_text("\n")
    _, err = _grant(run, pristine, tmp_path / "h", "--images", tmp_path / "list", code=2)
    assert "list list: expected one name a line" in err
    (tmp_path / "list").write_bytes(b"\xff")
    _, err = _grant(run, pristine, tmp_path / "h", "--images", tmp_path / "list", code=2)
    assert "list list: expected UTF-8 text" in err
    _, err = _grant(run, pristine, tmp_path / "h", "--images", "nothing*", code=2)
    assert "--images: expected a list file or a pattern that matches names, got 'nothing*'" in err
    assert not (tmp_path / "h").exists()


@pytest.mark.parametrize("text", ["tomorrow", "2027-13-01", "2027-01-01 10:00", "2027-01-01T10:00:00+02:00"])
def test_a_date_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--until: expected a date like 2027-01-31"):
        parse_until(text, now=datetime(2026, 1, 1, tzinfo=UTC))


def test_a_date_means_its_last_second() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert parse_until("2026-01-01", now=now) == datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC)
    assert parse_until("2026-01-01T12:00:01Z", now=now) == datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC)
    with pytest.raises(InputError, match="--until: expected a date to come, got 2025-12-31"):
        parse_until("2025-12-31", now=now)


def test_restore_by_the_owner(run: Terminal, sample: Sample, pub: Path, tmp_path: Path) -> None:
    base = (
        "restore",
        sample.path,
        "--owner",
        pub,
        "--identity",
        sample.keys / "owner.age.key",
        "--out",
        tmp_path / "out",
    )
    out, _ = run(*base)
    assert out.startswith("restored 3 of 3 images into")
    assert "1 files are so byte for byte" in out or "2 files" in out or "3 files" in out
    _, err = run(*base, code=2)
    assert "the output folder out is not empty" in err
    flip(sample.image(0))
    out, err = run(*base, "--overwrite", code=3)
    assert "restored 2 of 3 images" in out
    assert "left/eye.png: the marked file is not the signed one" in out
    assert "failed: left/eye.png: the marked file is not the signed one" in err
    value = run.json(*base, "--overwrite", code=3)
    assert value["failures"] == [
        {
            "index": 0,
            "name": "left/eye.png",
            "reason": "left/eye.png: the marked file is not the signed one",
            "code": "wrong-image",
            "trust": True,
        }
    ]


def test_a_readable_key_is_warned_about(run: Terminal, pristine: Sample, pub: Path, tmp_path: Path) -> None:
    key = tmp_path / "copy.age.key"
    key.write_bytes((pristine.keys / "owner.age.key").read_bytes())
    os.chmod(key, 0o644)
    _, err = run("restore", pristine.path, "--owner", pub, "--identity", key, "--out", tmp_path / "out")
    assert "warning: copy.age.key can be read by other users of this machine: chmod 600 copy.age.key" in err


def test_names_are_safe_to_show() -> None:
    assert shown("a\x1bb\udc80é\n") == "a\\x1bb\\udc80é\\n"
