"""Fetching files from a server on this machine that breaks off, changes its mind and sends nonsense."""

import hashlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, file_server

from torchmdnet.datasets import download as download_module
from torchmdnet.datasets.download import download

CONTENT = bytes(range(256)) * 40
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server, and no pause before another try."""
    monkeypatch.setattr(download_module, "FIRST_PAUSE_SECONDS", 0.0)
    with file_server() as served:
        yield served


def names(folder: Path) -> set[str]:
    """Files in a folder but for locks and records."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(".") and path.suffix != ".sha256"}


def test_the_file_arrives_whole(server: FileServer, tmp_path: Path) -> None:
    download(server.url("a.bin", CONTENT), tmp_path / "raw" / "a.bin", checksum=MD5, size=len(CONTENT))
    assert (tmp_path / "raw" / "a.bin").read_bytes() == CONTENT
    assert names(tmp_path / "raw") == {"a.bin"}


def test_a_file_in_place_is_not_fetched(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"mine")
    download(server.url("a.bin", CONTENT), tmp_path / "a.bin", checksum=MD5)
    assert server.asked == []


def test_a_transfer_that_breaks_off_goes_on_where_it_ended(server: FileServer, tmp_path: Path) -> None:
    server.cut = [1000, 500]
    download(server.url("a.bin", CONTENT), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=1000-", "bytes=1500-"]


def test_a_later_run_goes_on_where_the_last_one_ended(server: FileServer, tmp_path: Path) -> None:
    url = server.url("a.bin", CONTENT)
    server.cut = [1000, 0, 0, 0, 0]
    with pytest.raises(FileNotFoundError, match=r"broke off after 1000 of 10240 bytes \(1000 bytes are kept; the next"):
        download(url, tmp_path / "a.bin")
    server.cut, server.asked = [], []
    download(url, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked == [("/a.bin", "bytes=1000-")]
    assert names(tmp_path) == {"a.bin"}


def test_starts_anew_where_the_server_sends_only_whole_files(server: FileServer, tmp_path: Path) -> None:
    server.ranges, server.cut = False, [1000]
    download(server.url("a.bin", CONTENT), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_starts_anew_where_the_published_file_has_changed(server: FileServer, tmp_path: Path) -> None:
    server.cut = [1000, 0, 0, 0, 0]
    with pytest.raises(FileNotFoundError):
        download(server.url("a.bin", b"x" * 5000), tmp_path / "a.bin")
    server.cut, server.tag = [], '"2"'
    download(server.url("a.bin", CONTENT), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_starts_anew_where_the_published_file_has_become_shorter(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.bin.partial").write_bytes(b"x" * 20000)
    (tmp_path / "a.bin.partial.version").write_text(server.tag)
    download(server.url("a.bin", CONTENT), tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_never_joins_parts_of_files_without_version_or_checksum(server: FileServer, tmp_path: Path) -> None:
    server.tag, server.cut = "", [1000]
    download(server.url("a.bin", CONTENT), tmp_path / "a.bin")
    assert [asked for _, asked in server.asked] == [None, None]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_tries_again_when_the_server_is_busy(server: FileServer, tmp_path: Path, status: int) -> None:
    server.status = [status, status]
    download(server.url("a.bin", CONTENT), tmp_path / "a.bin")
    assert len(server.asked) == 3


def test_a_service_that_wants_a_browser_is_told(server: FileServer, tmp_path: Path) -> None:
    server.status = [202]
    with pytest.raises(FileNotFoundError, match="the server answers 202 Accepted, as if to see whether a browser asks"):
        download(server.url("a.bin", CONTENT), tmp_path / "a.bin")


def test_a_refusal_is_told_at_once(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError,
        match=r"b.bin is not at .*b.bin and cannot be fetched from http.*/b.bin: the server answers 404 Not Found; "
        "fetch it by other means and put it there",
    ):
        download(f"{server.address}/b.bin", tmp_path / "b.bin")
    assert len(server.asked) == 1
    assert names(tmp_path) == set()


def test_a_wrong_checksum_leaves_nothing_behind(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"its md5 checksum is [0-9a-f]{32}, but 0+ is published"):
        download(server.url("a.bin", CONTENT), tmp_path / "a.bin", checksum="md5:" + 32 * "0")
    assert names(tmp_path) == set()


def test_a_wrong_size_leaves_nothing_behind(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"10240 bytes arrived, but 7 are published"):
        download(server.url("a.bin", CONTENT), tmp_path / "a.bin", size=7)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Sign in", b"\n <HTML><body>"])
def test_a_web_page_instead_of_data_is_told(server: FileServer, tmp_path: Path, page: bytes) -> None:
    with pytest.raises(FileNotFoundError, match="the server sent a web page instead of the file"):
        download(server.url("a.npz", page), tmp_path / "a.npz")
    assert names(tmp_path) == set()


def test_an_empty_answer_is_told(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="the server sent an empty file"):
        download(server.url("a.npz", b""), tmp_path / "a.npz")


@pytest.mark.parametrize("checksum", ["0123", "crc32:0123"])
def test_a_checksum_of_unknown_kind_is_an_error(tmp_path: Path, checksum: str) -> None:
    with pytest.raises(ValueError, match=r"'ALGORITHM:HEX' with one of md5, sha1, sha256, sha512 was expected"):
        download("http://127.0.0.1:9/a", tmp_path / "a", checksum=checksum)


@pytest.mark.parametrize("url", ["file:///etc/hosts", "nowhere", "http://"])
def test_an_address_that_is_none_is_told(tmp_path: Path, url: str) -> None:
    with pytest.raises(FileNotFoundError, match="cannot be fetched from"):
        download(url, tmp_path / "a")


def test_a_machine_without_network_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "FIRST_PAUSE_SECONDS", 0.0)
    with pytest.raises(FileNotFoundError, match=r"fetched from http://127.0.0.1:9/a: .*refused.*put it there"):
        download("http://127.0.0.1:9/a", tmp_path / "a")


def test_two_at_once_fetch_once(server: FileServer, tmp_path: Path) -> None:
    url = server.url("a.bin", CONTENT)
    both = [threading.Thread(target=download, args=(url, tmp_path / "a.bin")) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(server.asked) == 1
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_shows_no_bar_where_there_is_no_terminal(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download(server.url("a.bin", CONTENT), tmp_path / "a.bin")
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    """Something that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def test_shows_a_bar_on_a_terminal(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    download(server.url("a.bin", CONTENT), tmp_path / "a.bin")
    assert "a.bin: 100%" in screen.getvalue()
