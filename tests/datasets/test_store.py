"""The memory-mapped store: built once, whole or not at all, and again when its sources change."""

import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from torchmdnet.datasets.frames import Frames, select
from torchmdnet.datasets.store import Store, read_index
from torchmdnet.datasets.store_build import StoreRequest, open_store
from torchmdnet.datasets.validation import DatasetError


def frames(energy: float, *, count: int = 3, first: int = 0, file: int = 0) -> Frames:
    """Frames of two atoms at different places."""
    pos = np.arange(count * 6, dtype=float).reshape(-1, 3)
    return Frames(file, "", first, np.full(count, 2), z=np.full(2 * count, 6), pos=pos, y=np.full(count, energy))


class Source:
    """A text file with one energy, and a count of how often it was read."""

    def __init__(self, folder: Path, *, argument: int = 0, seconds: float = 0.0) -> None:
        self.path = folder / "energy.txt"
        self.log = folder / "reads.log"
        self.argument = argument
        self.seconds = seconds
        if not self.path.exists():
            self.path.write_text("1.5")

    def read(self) -> Iterator[Frames]:
        with self.log.open("a") as log:
            log.write("read\n")
        time.sleep(self.seconds)
        yield frames(float(self.path.read_text()))

    def open(self) -> Store:
        return open_store(StoreRequest("Test", {"argument": self.argument}, [self.path], self.read))

    @property
    def num_reads(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


def open_slowly(folder: Path) -> float:
    """In another process."""
    return float(Source(folder, seconds=0.3).open().rows("y")[0])


def test_opens_a_second_time_without_reading(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.open()
    assert source.open().rows("y").tolist() == [1.5, 1.5, 1.5]
    assert source.num_reads == 1


def test_a_changed_source_is_read_again_and_the_old_store_removed(tmp_path: Path) -> None:
    source = Source(tmp_path)
    old = source.open()
    source.path.write_text("2.5")
    assert source.open().rows("y").tolist() == [2.5, 2.5, 2.5]
    assert source.num_reads == 2
    assert not old.folder.exists()
    assert old.rows("y").tolist() == [1.5, 1.5, 1.5]


def test_a_touched_source_of_the_same_content_is_not_read_again(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.open()
    os.utime(source.path, ns=(0, 0))
    source.open()
    assert source.num_reads == 1


def test_another_argument_makes_another_store(tmp_path: Path) -> None:
    first, second = Source(tmp_path), Source(tmp_path, argument=1)
    assert first.open().folder != second.open().folder
    first.open()
    assert first.num_reads == 2


def test_one_more_source_makes_another_store(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        path.write_text("x")

    def open_with(*paths: Path) -> int:
        return len(
            open_store(StoreRequest("Test", {}, paths, lambda: iter([frames(1.0, file=i) for i in range(len(paths))])))
        )

    assert [open_with(one), open_with(one, two), open_with(one)] == [3, 6, 3]


def test_a_moved_folder_keeps_its_store(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    Source(folder).open()
    shutil.copytree(folder, tmp_path / "there")
    moved = Source(tmp_path / "there")
    moved.open()
    assert moved.num_reads == 1


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    source = Source(tmp_path)

    def interrupted() -> Iterator[Frames]:
        yield frames(1.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_store(StoreRequest("Test", {"argument": 0}, [source.path], interrupted))
    assert [path.suffix for path in (tmp_path / "processed").iterdir()] == [".lock"]
    assert source.open().rows("y").tolist() == [1.5, 1.5, 1.5]


def test_what_a_killed_build_left_is_not_taken_for_whole(tmp_path: Path) -> None:
    source = Source(tmp_path)
    folder = source.open().folder
    partial = folder.rename(folder.with_name(folder.name + ".dead.partial"))
    (partial / "index.json").unlink()
    assert len(source.open()) == 3
    assert source.num_reads == 2
    assert not partial.exists()


def test_a_truncated_array_is_not_taken_for_whole(tmp_path: Path) -> None:
    source = Source(tmp_path)
    folder = source.open().folder
    os.truncate(folder / "pos.mmap", 8)
    assert read_index(folder) is None
    assert source.open().rows("pos").shape == (6, 3)


def test_two_processes_at_once_build_once(tmp_path: Path) -> None:
    Source(tmp_path)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(open_slowly, [tmp_path, tmp_path]) == [1.5, 1.5]
    assert Source(tmp_path).num_reads == 1


def test_a_source_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    source = Source(tmp_path)

    def changing() -> Iterator[Frames]:
        source.path.write_text("longer than before")
        yield frames(1.0)

    with pytest.raises(DatasetError, match="changed while it was read"):
        open_store(StoreRequest("Test", {}, [source.path], changing))


def test_a_folder_without_write_permission_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = tmp_path / "data", tmp_path / "cache"
    folder.mkdir()
    source = Source(folder)
    source.log = tmp_path / "reads.log"
    folder.chmod(0o555)
    monkeypatch.setenv("TORCHMDNET_CACHE", str(cache))
    store = source.open()
    source.open()
    assert cache in store.folder.parents
    assert source.num_reads == 1
    folder.chmod(0o755)
    assert not (folder / "processed").exists()


def test_the_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    source = Source(folder)
    source.log = tmp_path / "reads.log"
    folder.chmod(0o555)
    monkeypatch.delenv("TORCHMDNET_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert tmp_path / "xdg" / "torchmdnet" in source.open().folder.parents
    folder.chmod(0o755)


def test_energies_keep_all_digits(tmp_path: Path) -> None:
    source = Source(tmp_path)
    source.path.write_text("-17660.461737861464")
    assert source.open().rows("y")[0] == -17660.461737861464


def test_frames_without_a_cell_stand_beside_frames_with_one(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("x")
    periodic = frames(1.0, first=3)._replace(box=np.tile(8.0 * np.eye(3), (3, 1, 1)))
    blocks = [frames(1.0), periodic, frames(1.0, first=6)]
    store = open_store(StoreRequest("Test", {}, [path], lambda: iter(blocks)))
    assert store.rows("pbc").tolist() == [[False] * 3] * 3 + [[True] * 3] * 3 + [[False] * 3] * 3
    assert store.rows("box")[:, 0, 0].tolist() == [0, 0, 0, 8, 8, 8, 0, 0, 0]


def some_of_many() -> Iterator[Frames]:
    """Every third of ten frames, in two blocks, and three frames that follow each other in another section."""
    for first in (0, 5):
        block = frames(1.0, count=5, first=first)
        yield select(block, np.arange(first, first + 5) % 3 == 0)
    yield frames(2.0, count=3, first=4)._replace(section="b")


def test_frames_that_are_left_out_do_not_change_the_names_of_others(tmp_path: Path) -> None:
    path = Source(tmp_path).path
    store = open_store(StoreRequest("Test", {}, [path], some_of_many))
    expected = [f"energy.txt, frame {number}" for number in (0, 3, 6, 9)]
    expected += [f"energy.txt, group b, frame {number}" for number in (4, 5, 6)]
    assert [store.frame_name(row) for row in range(7)] == expected
    assert len(store.index.sections) == 2


def test_faults_name_frames_by_their_number_in_the_file(tmp_path: Path) -> None:
    def read() -> Iterator[Frames]:
        block = next(iter(some_of_many()))
        yield block._replace(y=np.array([1.0, np.nan]))

    with pytest.raises(DatasetError, match=r"NaN or infinite energy: energy.txt, frame 3$"):
        open_store(StoreRequest("Test", {}, [Source(tmp_path).path], read))


def test_numbers_are_kept_only_where_frames_do_not_follow(tmp_path: Path) -> None:
    assert "numbers" not in Source(tmp_path).open().index.arrays


def test_a_selection_of_all_frames_is_the_same_block() -> None:
    block = frames(1.0, count=4, first=7)
    chosen = select(block, np.ones(4, dtype=bool))
    assert chosen.frame_numbers().tolist() == block.frame_numbers().tolist() == [7, 8, 9, 10]
    assert np.array_equal(np.asarray(chosen.pos), np.asarray(block.pos))
