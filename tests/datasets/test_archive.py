"""Taking files out of archives."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from torchmdnet.datasets import DatasetError
from torchmdnet.datasets.archive import extract


def make_zip(path: Path, **members: str) -> Path:
    """A zip archive; two underscores stand for a slash."""
    with zipfile.ZipFile(path, "w") as packed:
        packed.mkdir("folder")
        for name, text in members.items():
            packed.writestr(name.replace("__", "/") + ".txt", text)
    return path


def make_tar(path: Path, **members: str) -> Path:
    """A packed tar archive of the same kind."""
    with tarfile.open(path, "w:bz2") as bundle:
        for name, text in members.items():
            source = path.parent / "source.txt"
            source.write_text(text)
            bundle.add(source, name.replace("__", "/") + ".txt")
    return path


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_takes_out_what_is_asked_for_and_no_more(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    archive = make(tmp_path / "a", set__one="1", set__two="2", three="3")
    extract(archive, ["set/two.txt", "three.txt"], tmp_path / "out")
    assert {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.txt")} == {
        "set/two.txt",
        "three.txt",
    }
    assert (tmp_path / "out" / "set" / "two.txt").read_text() == "2"


def test_tells_members_of_the_same_name_apart_by_their_folders(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", x__set__one="x", y__set__one="y")
    extract(archive, ["y/set/one.txt"], tmp_path)
    assert (tmp_path / "y" / "set" / "one.txt").read_text() == "y"


def test_finds_a_member_below_folders_that_are_not_named(tmp_path: Path) -> None:
    extract(make_zip(tmp_path / "a.zip", deep__er__one="1"), ["one.txt"], tmp_path / "out")
    assert (tmp_path / "out" / "one.txt").read_text() == "1"


def test_leaves_alone_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("mine")
    extract(make_zip(tmp_path / "a.zip", one="theirs"), ["one.txt"], tmp_path)
    assert (tmp_path / "one.txt").read_text() == "mine"


def test_a_member_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a.zip holds no set/four.txt, two.txt"):
        extract(make_zip(tmp_path / "a.zip", one="1"), ["two.txt", "one.txt", "set/four.txt"], tmp_path / "out")


def test_a_file_that_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no archive")
    with pytest.raises(DatasetError, match=r"a.zip cannot be read as a zip or tar archive: .*; remove it, so that"):
        extract(tmp_path / "a.zip", ["one.txt"], tmp_path)


def test_an_archive_that_ends_early_is_told(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar.bz2", one="1" * 100000)
    archive.write_bytes(archive.read_bytes()[:60])
    with pytest.raises(DatasetError, match=r"cannot be read as a zip or tar archive"):
        extract(archive, ["one.txt"], tmp_path / "out")
