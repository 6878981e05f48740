"""What is noted of fetched files whose publisher states no checksum."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, file_server

from torchmdnet.datasets import DatasetError
from torchmdnet.datasets import download as download_module
from torchmdnet.datasets.download import download
from torchmdnet.datasets.fetch_record import check_record, recorded_checksum

CONTENT = b"twelve bytes" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server, and no pause before another try."""
    monkeypatch.setattr(download_module, "FIRST_PAUSE_SECONDS", 0.0)
    with file_server() as served:
        yield served


def test_the_sum_of_a_file_without_a_published_one_is_noted(server: FileServer, tmp_path: Path) -> None:
    download(server.url("a.bin", CONTENT), tmp_path / "a.bin")
    assert (tmp_path / "a.bin.sha256").read_text() == f"{SHA256}  a.bin\n"
    check_record(tmp_path / "a.bin")


def test_a_published_sum_is_enough(server: FileServer, tmp_path: Path) -> None:
    download(server.url("a.bin", CONTENT), tmp_path / "a.bin", checksum=f"sha256:{SHA256}")
    assert recorded_checksum(tmp_path / "a.bin") is None


def test_another_fetch_has_to_give_the_same(server: FileServer, tmp_path: Path) -> None:
    url = server.url("a.bin", CONTENT)
    download(url, tmp_path / "a.bin")
    (tmp_path / "a.bin").unlink()
    server.url("a.bin", b"something else")
    with pytest.raises(FileNotFoundError, match=rf"but {SHA256} was noted in .*a\.bin\.sha256 at an earlier fetch"):
        download(url, tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()
    server.url("a.bin", CONTENT)
    download(url, tmp_path / "a.bin")


def test_a_file_that_differs_from_its_record_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"changed")
    (tmp_path / "a.bin.sha256").write_text(f"{SHA256}  a.bin\n")
    with pytest.raises(DatasetError, match=rf"but sha256:{SHA256} was fetched and noted in a\.bin\.sha256: remove"):
        check_record(tmp_path / "a.bin")


def test_a_file_without_a_record_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"mine")
    check_record(tmp_path / "a.bin")


@pytest.mark.parametrize("text", ["", "abc a.bin"])
def test_a_damaged_record_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.bin.sha256").write_text(text)
    with pytest.raises(DatasetError, match=r"a\.bin\.sha256 is no line of a SHA-256 and a name: remove it"):
        recorded_checksum(tmp_path / "a.bin")
