"""What somebody else could try against the server of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from served import HOST, ORIGIN, TOKEN, client_of, form_token, post

from medlocker.web._guard import MOST_BODY_BYTES


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "inside").mkdir(parents=True)
    (folder / "inside" / "note.txt").write_text("inside")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "other").mkdir()
    return folder


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", "é"])
def test_without_the_token_nothing_is_shown(root: Path, token: str) -> None:
    client = client_of(root, enters=False)
    for path in ("/", "/run/new", "/picture?at=0/inside/note.txt", "/no-such-page"):
        answer = client.get(path, params={"token": token} if token and "?" not in path else None)
        assert answer.status_code == 403
        assert "inside" not in answer.text
    assert client.get("/", headers={"cookie": "medlocker=x"}).status_code == 403


def test_the_token_does_not_stay_in_the_address(root: Path) -> None:
    client = client_of(root, enters=False)
    first = client.get("/", params={"token": TOKEN, "at": "0"}, follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (303, "/?at=0")
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in first.headers["set-cookie"]
    assert client.get("/?at=0").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1", "127.0.0.1:8766", ""])
def test_another_name_for_this_machine_is_refused(root: Path, host: str) -> None:
    assert client_of(root).get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", f"https://{HOST}", "http://127.0.0.1:9"]
)
def test_forms_of_other_sites_are_refused(root: Path, origin: str) -> None:
    client = client_of(root)
    data = {"form_token": form_token(client), "at": "0"}
    answer = client.post("/run/stop", data=data, headers={"origin": origin} if origin else {})
    assert answer.status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_cannot_ask(root: Path, site: str) -> None:
    assert client_of(root).get("/?at=0", headers={"sec-fetch-site": site}).status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(root: Path, method: str) -> None:
    assert client_of(root).request(method, "/", headers={"origin": ORIGIN}).status_code == 403


def test_a_form_of_another_start_is_refused(root: Path) -> None:
    client = client_of(root)
    answer = client.post("/run/stop", data={"form_token": "x", "at": "0"}, headers={"origin": ORIGIN})
    assert answer.status_code == 400
    assert "expected a form of this start of the server" in answer.text


@pytest.mark.parametrize(
    "place",
    [
        *("0/../secret.png", "0/inside/../../secret.png", "0//etc/passwd", "/etc/passwd", "0/..", "0/./x"),
        *(
            "1/x",
            "-1/x",
            "x",
            "٠/x",
            "9" * 5000,
            "0/" + "a" * 5000,
            "0/in\x00side",
            "0/inside\\..\\..\\secret.png",
        ),
    ],
)
def test_nothing_outside_the_roots_is_named(root: Path, place: str) -> None:
    client = client_of(root)
    for path in ("/", "/picture", "/review", "/report", "/run", "/run/status"):
        answer = client.get(path, params={"at": place})
        assert answer.status_code in (400, 415)
        assert "secret" not in answer.text.replace("secret.png", "")
    assert post(client, "/verify", at=place, owner=place).status_code == 400


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_links_lead_nowhere(root: Path) -> None:
    (root / "link.png").symlink_to(root.parent / "secret.png")
    (root / "folder").symlink_to(root.parent / "other", target_is_directory=True)
    client = client_of(root)
    page = client.get("/", params={"at": "0"}).text
    assert "inside/" in page
    assert "link.png" not in page
    assert "folder/" not in page
    for place in ("0/link.png", "0/folder", "0/folder/x"):
        assert client.get("/", params={"at": place}).status_code == 400
        assert client.get("/picture", params={"at": place}).status_code == 400


def test_huge_uploads_are_refused(root: Path) -> None:
    client = client_of(root)
    told = client.post(
        "/verify", content=b"x", headers={"origin": ORIGIN, "content-length": str(MOST_BODY_BYTES + 1)}
    )
    assert told.status_code == 413

    def endless() -> object:
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
        yield from (b"x" * (1 << 20) for _ in range(70))

    kind = {"origin": ORIGIN, "content-type": "multipart/form-data; boundary=x"}
    untold = client.post("/verify", content=endless(), headers=kind)  # type: ignore[arg-type]
    assert untold.status_code == 413
    fields = "&".join(f"a{k}=b" for k in range(5000))
    kind = {"origin": ORIGIN, "content-type": "application/x-www-form-urlencoded"}
    assert client.post("/verify", content=fields, headers=kind).status_code == 400


def test_names_are_escaped(root: Path) -> None:
    (root / "<script>alert(1)").mkdir()
    page = client_of(root).get("/", params={"at": "0"})
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"


def test_a_hostile_report_is_shown_in_a_cage(root: Path) -> None:
    (root / "report.html").write_text("<script>fetch('/run/start',{method:'POST'})</script>")
    answer = client_of(root).get("/report", params={"at": "0"})
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    assert "connect-src" not in policy
    assert "same-origin" not in policy


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/picture", {"at": "0/inside/note.txt", "side": "99999"}),
        ("/picture", {"at": "0/inside/note.txt", "frame": "-1"}),
        ("/picture", {"at": "0/inside/note.txt", "low": "80", "high": "20"}),
        ("/picture", {"at": "0/inside/note.txt", "frame": "9" * 5000}),
        ("/review/image", {"at": "0/inside", "index": "0"}),
        ("/review/picture", {"at": "0/inside", "index": "0"}),
        ("/review", {"at": "0/inside/note.txt"}),
        ("/grants", {"at": "0", "owner": "0/inside/note.txt"}),
    ],
)
def test_odd_addresses_get_a_sentence(root: Path, path: str, query: dict[str, str]) -> None:
    answer = client_of(root).get(path, params=query)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_what_is_no_picture_is_not_shown(root: Path) -> None:
    answer = client_of(root).get("/picture", params={"at": "0/inside/note.txt"})
    assert (answer.status_code, answer.headers["content-type"][:10]) == (415, "text/plain")
