"""Who may ask the proxy, and for what."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import proxied as helpers
import pytest
from proxied import HOST, ORIGINALS, SERIES, Proxied, World, private, proxied, uid_of

from fake_server import STUDY, FakeServer
from medlocker.certificates import load_identity
from medlocker.errors import InputError
from medlocker.proxy import Caller, Callers, open_grants, plan_listening, read_tokens

world, store, proxy = helpers.world, helpers.store, helpers.proxy
"""Fixtures."""
VIEWER = "https://viewer.example"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_is_stored_or_changed(proxy: Proxied, store: FakeServer, method: str) -> None:
    answer = proxy.client.request(method, "/dicom-web/studies", content=b"x")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert store.requests == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8043", "127.0.0.1:1", ""])
def test_other_names_are_refused(proxy: Proxied, host: str) -> None:
    assert proxy.get("/studies", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": f"https://{HOST}"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_pages_of_other_sites_are_refused(proxy: Proxied, store: FakeServer, headers: dict[str, str]) -> None:
    answer = proxy.get("/studies", headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert store.requests == []


def test_a_viewer_that_is_let_in(world: World, store: FakeServer, tmp_path: Path) -> None:
    proxy = proxied(world, store, tmp_path / "log", origins=[VIEWER])
    headers = {"origin": VIEWER, "sec-fetch-site": "cross-site"}
    answer = proxy.get("/studies", headers=headers)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, VIEWER)
    assert "access-control-allow-credentials" not in answer.headers
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    before = proxy.client.options("/dicom-web/studies", headers=headers | asked)
    assert (before.status_code, before.headers["access-control-allow-headers"]) == (
        204,
        "Authorization, Accept",
    )
    assert proxy.get("/studies", headers=headers | {"origin": "https://other.example"}).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        *("/studies/abc", "/studies/1..2", "/studies/" + "1" * 65, "/studies/%2e%2e"),
        *("/studies/1.2/series/x/metadata", "/studies/1.2/series/1/instances/a%2fb", "/studies/1.2%00"),
    ],
)
def test_only_uids_go_into_addresses(proxy: Proxied, store: FakeServer, path: str) -> None:
    assert proxy.get(path).status_code in (400, 404)
    assert store.requests == []


@pytest.mark.parametrize("path", ["/rendered", "/thumbnail", "/frames/1/rendered", "/frames/1/thumbnail"])
def test_no_picture_of_the_store_passes_as_restored(proxy: Proxied, store: FakeServer, path: str) -> None:
    assert proxy.instance("1.2.3", rest=path).status_code == 501
    assert store.requests == []


def test_answers_are_kept_by_nobody(proxy: Proxied) -> None:
    for answer in (proxy.get("/studies"), proxy.get("/studies/x"), proxy.get("/nothing")):
        assert answer.headers["cache-control"] == "no-store, private"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "query", [[("a" * 300, "1")], [("Pat?ient", "1")], [("a", "1")] * 200, [("a", "1" * 5000)]]
)
def test_odd_questions(proxy: Proxied, store: FakeServer, query: list[tuple[str, str]]) -> None:
    assert proxy.get("/studies", params=query).status_code == 400
    assert store.requests == []


def with_tokens(world: World, *lines: str, name: str = "tokens") -> Path:
    path = world.folder / name
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    return path


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def test_each_caller_sees_what_their_grant_opens(world: World, store: FakeServer, tmp_path: Path) -> None:
    path = with_tokens(
        world, "# who may ask", f"alice {digest('a-token')} grant", "", f"bob {digest('b-token')} none"
    )
    key = load_identity(world.folder / "alice.age.key")
    known = [
        (line.digest, Caller(line.name, open_grants([world.release], line.grants, key)))
        for line in read_tokens(path)
    ]
    proxy = proxied(world, store, tmp_path / "log", callers=Callers(None, known))
    header = f"/studies/{STUDY}/series/{SERIES[0]}/metadata"
    basic = base64.b64encode(b"alice:a-token").decode()
    for value in ("Bearer a-token", "bearer a-token", f"Basic {basic}"):
        told = proxy.get(header, headers={"authorization": value}).json()
        assert told[0]["00080018"]["Value"] == [uid_of(ORIGINALS[0])]
    told = proxy.get(header, headers={"authorization": "Bearer b-token"}).json()
    assert [one["00080018"]["Value"][0] for one in told] == [uid_of(data) for data in world.marked[:3]]
    # bob does not get by its UID what alice has had restored
    path_of = f"/studies/{STUDY}/series/{SERIES[0]}/instances/{uid_of(ORIGINALS[0])}"
    assert proxy.get(path_of, headers={"authorization": "Bearer b-token"}).status_code == 404
    assert {(line["who"], line["shown"]) for line in proxy.lines if line["image"] == 0} == {
        ("alice", "restored"),
        ("bob", "marked"),
    }


def test_what_one_caller_was_shown_is_not_what_another_sees(
    world: World, store: FakeServer, tmp_path: Path
) -> None:
    key = load_identity(world.folder / "alice.age.key")
    openings = open_grants([world.release], [world.folder / "grant"], key)
    known = [(digest("a"), Caller("alice", openings)), (digest("b"), Caller("bob", {}))]
    proxy = proxied(world, store, tmp_path / "log", callers=Callers(None, known))
    path = f"/studies/{STUDY}/series/{SERIES[0]}/instances/{uid_of(world.marked[0])}"
    wanted = {"a": ORIGINALS[0], "b": world.marked[0]}
    for token in "bababb":
        answer = proxy.get(path, "application/dicom", headers={"authorization": f"Bearer {token}"})
        assert answer.content == wanted[token]
        header = proxy.get(f"{path}/metadata", headers={"authorization": f"Bearer {token}"}).json()[0]
        assert header["00080018"]["Value"] == [uid_of(wanted[token])]


@pytest.mark.parametrize(
    "value",
    [
        *("", "Bearer", "Bearer ", "Bearer x", "Bearer a-token2", "a-token", "Token a-token", "Basic !!!"),
        *("Bearer " + "x" * 5000, "Basic " + base64.b64encode(b"bob:a-token").decode()),
    ],
)
def test_without_a_token_nothing_is_shown(
    world: World, store: FakeServer, tmp_path: Path, value: str
) -> None:
    callers = Callers(None, [(digest("a-token"), Caller("alice", {}))])
    proxy = proxied(world, store, tmp_path / "log", callers=callers)
    answer = proxy.get("/studies", headers={"authorization": value} if value else {})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    private(answer)
    assert (store.requests, proxy.lines) == ([], [])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "tokens bad: expected NAME SHA256-OF-TOKEN [GRANT_DIR ... | none], got an empty file"),
        (["alice secret"], "tokens bad line 1: expected NAME SHA256-OF-TOKEN [GRANT_DIR ... | none]"),
        (
            [f"al/ice {digest('x')}"],
            "tokens bad line 1: expected NAME SHA256-OF-TOKEN [GRANT_DIR ... | none]",
        ),
        ([f"a {digest('x')}", f"a {digest('y')}"], "tokens bad: expected each name once, got one twice"),
        ([f"a {digest('x')}", f"b {digest('x')}"], "tokens bad: expected each token once, got one twice"),
        ([f"a {digest('x')} none grant"], "tokens bad line 1: expected grants or none, got both"),
    ],
)
def test_bad_files_of_tokens(world: World, lines: list[str], message: str) -> None:
    path = with_tokens(world, *lines, name="bad")
    with pytest.raises(InputError) as caught:
        read_tokens(path)
    assert str(caught.value) == message
    assert "secret" not in str(caught.value)


def test_tokens_that_others_can_read_are_refused(world: World) -> None:
    path = with_tokens(world, f"a {digest('x')}", name="open")
    path.chmod(0o640)
    with pytest.raises(InputError, match="expected a file that only this user can read"):
        read_tokens(path)


@pytest.mark.parametrize(
    ("listen", "tokens", "message"),
    [
        ("0.0.0.0:8043", True, "others can reach this address"),
        ("192.168.1.4:1", False, "others can reach this address"),
        ("[::]:1", True, "others can reach this address"),
        ("pacs.example:80", True, "expected an address of this machine and a port"),
        ("127.0.0.1", False, "expected an address of this machine and a port"),
        ("127.0.0.1:99999", False, "expected an address of this machine and a port"),
        ("127.0.0.1:x", False, "expected an address of this machine and a port"),
    ],
)
def test_it_does_not_listen_where_others_hear(listen: str, tokens: bool, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_listening(listen, has_tokens=tokens)


def test_names_of_the_server() -> None:
    assert plan_listening("localhost:1", has_tokens=False).hosts(7) == [
        *("127.0.0.1:7", "localhost:7", "127.0.0.1", "localhost")
    ]
    assert "[::1]:7" in plan_listening("[::1]:1", has_tokens=False).hosts(7)


def test_files_of_tls_are_checked_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    with pytest.raises(InputError, match="expected --tls-cert and --tls-key together"):
        plan_listening("127.0.0.1:1", certificate=tmp_path / "x.pem", has_tokens=False)
    with pytest.raises(InputError, match="expected a certificate and its key in PEM"):
        plan_listening(
            "127.0.0.1:1", certificate=tmp_path / "x.pem", key=tmp_path / "y.pem", has_tokens=False
        )
