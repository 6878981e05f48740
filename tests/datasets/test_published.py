"""What all published data sets have in common, on a data set of four numbers a line."""

import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from file_server import FileServer, file_server
from torch_geometric.data import Data

from torchmdnet.datasets import DatasetError
from torchmdnet.datasets import store_build as store_build_module
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.published import PublishedDataset, PublishedFile

ROWS = np.array([[0.0, 0.0, 0.0, -1.0], [1.0, 0.0, 0.0, -2.0], [2.0, 0.0, 0.0, -3.0], [3.0, 0.0, 0.0, -4.0]])
TABLE = "\n".join(" ".join(str(number) for number in row) for row in ROWS).encode()


def read(paths: Sequence[Path]) -> Iterator[Frames]:
    """One helium atom a line: position and energy."""
    for file, path in enumerate(paths):
        rows = np.loadtxt(path, ndmin=2)
        size = np.ones(len(rows), dtype=np.int64)
        yield Frames(file, "", 0, size, z=2 * size, pos=rows[:, :3], y=rows[:, 3])


class Helium(PublishedDataset):
    """Tables of helium atoms."""

    def __init__(self, root: str | Path, url: str = "http://127.0.0.1:9/a.txt", *names: str, **options: Any) -> None:
        super().__init__(root, [PublishedFile(name, url) for name in names or ("a.txt",)], read, **options)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as served:
        yield served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the file in place."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.txt").write_bytes(TABLE)
    return tmp_path


def rebuilt(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the stores built from now on."""
    built: list[str] = []
    build = store_build_module._build

    def count(request: Any, *others: Any) -> None:
        built.append(request.dataset)
        build(request, *others)

    monkeypatch.setattr(store_build_module, "_build", count)
    return built


def test_fetches_a_file_that_is_missing(server: FileServer, tmp_path: Path) -> None:
    assert len(Helium(tmp_path, server.url("a.txt", TABLE))) == 4
    assert (tmp_path / "raw" / "a.txt").read_bytes() == TABLE


@pytest.mark.parametrize("place", ["raw", "."])
def test_needs_no_network_where_the_file_is_in_place(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "a.txt").write_bytes(TABLE)
    assert len(Helium(tmp_path)) == 4
    assert not (tmp_path / "raw" / "a.txt").exists() or place == "raw"


def test_fetches_an_archive_once_for_all_its_files(server: FileServer, tmp_path: Path) -> None:
    packed = tmp_path / "packed.zip"
    write_archive(packed, "x/a.txt", "x/b.txt")
    url = server.url("packed.zip", packed.read_bytes())
    files = [PublishedFile(name, url, "packed.zip") for name in ("a.txt", "b.txt")]
    assert len(PublishedDataset(tmp_path / "data", files, read)) == 8
    assert len(server.asked) == 1


def test_another_address_is_tried_where_the_first_refuses(server: FileServer, tmp_path: Path) -> None:
    file = PublishedFile("a.txt", f"{server.address}/gone.txt", mirror=server.url("a.txt", TABLE))
    assert len(PublishedDataset(tmp_path, [file], read)) == 4
    assert [path for path, _ in server.asked] == ["/gone.txt", "/a.txt"]


def test_all_addresses_and_all_missing_files_are_told(server: FileServer, tmp_path: Path) -> None:
    files = [PublishedFile(f"{name}.txt", f"{server.address}/{name}", mirror=f"{server.address}/m") for name in "abc"]
    message = (
        rf"a\.txt is not at .* cannot be fetched from {server.address}/a: .*; nor from {server.address}/m; missing "
    )
    with pytest.raises(FileNotFoundError, match=message + r"too: b\.txt, c\.txt$"):
        PublishedDataset(tmp_path, files, read)


def test_a_fetched_file_that_changes_before_it_is_read_is_told(server: FileServer, tmp_path: Path) -> None:
    url = server.url("a.txt", TABLE)
    Helium(tmp_path, url)
    (tmp_path / "raw" / "a.txt").write_bytes(TABLE + b"\n4 0 0 -5")
    with pytest.raises(
        DatasetError, match=r"a\.txt has sha256:.* was fetched and noted in a\.txt\.sha256: remove both"
    ):
        Helium(tmp_path, url)
    (tmp_path / "raw" / "a.txt.sha256").unlink()
    assert len(Helium(tmp_path, url)) == 5


def test_a_fetched_archive_that_changes_before_it_is_unpacked_is_told(server: FileServer, tmp_path: Path) -> None:
    write_archive(tmp_path / "packed.zip", "a.txt")
    files = [PublishedFile("a.txt", server.url("p.zip", (tmp_path / "packed.zip").read_bytes()), "p.zip")]
    PublishedDataset(tmp_path / "data", files, read)
    raw = tmp_path / "data" / "raw"
    (raw / "a.txt").unlink()
    write_archive(raw / "p.zip", "a.txt", "b.txt")
    with pytest.raises(DatasetError, match=r"p\.zip has sha256:"):
        PublishedDataset(tmp_path / "data", files, read)


def test_a_file_of_the_users_own_has_no_record(folder: Path) -> None:
    Helium(folder)
    assert not list((folder / "raw").glob("*.sha256"))


def write_archive(path: Path, *members: str) -> None:
    """A zip archive with the table under several names."""
    with zipfile.ZipFile(path, "w") as packed:
        for member in members:
            packed.writestr(member, TABLE)


def test_a_plain_path_is_used_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes(TABLE)
    assert len(PublishedDataset(tmp_path / "data", [tmp_path / "mine.txt"], read)) == 4
    assert (tmp_path / "data" / "processed").is_dir()


@pytest.mark.parametrize("root", [None, ""])
def test_a_missing_root_is_told(root: Any) -> None:
    with pytest.raises(ValueError, match="Helium: dataset_root is missing; give the folder that has, or will have"):
        Helium(root)


def test_reference_energies_are_those_of_the_publisher(folder: Path) -> None:
    assert Helium(folder, atomref={2: -79.0}).get_atomref(4).flatten().tolist() == [0.0, 0.0, -79.0, 0.0]


def test_says_the_unit_of_its_energies(folder: Path) -> None:
    assert Helium(folder, energy_unit="kcal/mol").energy_unit == "kcal/mol"


def test_other_arguments_make_another_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = rebuilt(monkeypatch)
    for arguments in ({"a": 1}, {"a": 2}, {"a": 1}):
        Helium(folder, arguments=arguments)
    assert len(built) == 2


def mirrored(sample: Data) -> Data:
    sample.pos = -sample.pos
    return sample


def test_transform_is_applied_when_a_sample_is_asked_for(folder: Path) -> None:
    dataset = Helium(folder, transform=mirrored)
    assert dataset[2].pos.tolist() == [[-2.0, 0.0, 0.0]]
    assert dataset.get_batch([1, 3]).pos[:, 0].tolist() == [-1.0, -3.0]


def test_transform_may_add_what_a_store_has_no_place_for(folder: Path) -> None:
    def with_size(sample: Data) -> Data:
        sample.count = torch.tensor([len(sample.z)])
        return sample

    assert Helium(folder, transform=with_size).get_batch([0, 1])["count"].tolist() == [1, 1]


def test_pre_filter_leaves_samples_out_and_frames_keep_their_names(folder: Path) -> None:
    dataset = Helium(folder, pre_filter=lambda sample: int(sample.pos[0, 0]) != 1)
    assert dataset.energies().tolist() == [-1.0, -3.0, -4.0]
    assert [dataset.frame_name(index) for index in range(3)] == [f"a.txt, frame {number}" for number in (0, 2, 3)]


def test_pre_transform_changes_what_is_stored_after_the_filter(folder: Path) -> None:
    dataset = Helium(folder, pre_transform=mirrored, pre_filter=lambda sample: bool(sample.pos[0, 0] > 1))
    assert [sample.pos[0, 0].item() for sample in (dataset[0], dataset[1])] == [-2.0, -3.0]


def test_pre_transform_sees_samples_as_the_data_set_gives_them(folder: Path) -> None:
    seen: list[Data] = []
    Helium(folder, pre_transform=lambda sample: seen.append(sample.clone()) or sample)
    expected = Helium(folder)[2]
    for field in ("z", "pos", "y"):
        assert torch.equal(seen[2][field], expected[field]), field


def test_a_field_that_cannot_be_stored_is_told(folder: Path) -> None:
    def with_edges(sample: Data) -> Data:
        sample.edge_index = torch.zeros(2, 0, dtype=torch.long)
        return sample

    with pytest.raises(
        DatasetError, match=r"pre_transform added 'edge_index', which is none of z, pos, .*by transform"
    ):
        Helium(folder, pre_transform=with_edges)


def test_a_filter_that_keeps_nothing_is_told(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"Helium: no frames in a.txt"):
        Helium(folder, pre_filter=lambda sample: False)


def test_a_pre_transform_that_returns_nothing_is_told(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"pre_transform returned NoneType; a torch_geometric.data.Data was"):
        Helium(folder, pre_transform=lambda sample: None)


@pytest.mark.parametrize("name", ["transform", "pre_transform", "pre_filter"])
def test_what_cannot_be_called_is_told(folder: Path, name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} is 'Center'; a function of one sample was expected"):
        Helium(folder, **{name: "Center"})


def shifted(by: float, sample: Data) -> Data:
    sample.pos = sample.pos + by
    return sample


class Shift:
    """A transform that is an object."""

    def __init__(self, by: float) -> None:
        self.by = by

    def __call__(self, sample: Data) -> Data:
        return shifted(self.by, sample)

    def apply(self, sample: Data) -> Data:
        return shifted(self.by, sample)


def closure(by: float) -> Any:
    """A function that has a number bound to it."""
    return lambda sample: shifted(by, sample)


@pytest.mark.parametrize(
    "make", [closure, Shift, lambda by: partial(shifted, by), lambda by: Shift(by).apply], ids=range(4)
)
def test_a_changed_pre_transform_is_not_answered_from_the_old_store(
    folder: Path, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    built = rebuilt(monkeypatch)
    found = [Helium(folder, pre_transform=make(by))[0].pos[0, 0].item() for by in (1.0, 2.0, 1.0)]
    assert found == [1.0, 2.0, 1.0]
    assert len(built) == 2
