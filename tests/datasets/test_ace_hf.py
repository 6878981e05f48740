"""AceHF from Parquet files; a data set on the hub goes the same way under another name."""

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ace_files import ace_molecule, ace_rows

from torchmdnet.datasets import AceHF, DatasetError
from torchmdnet.datasets import hugging_face as hugging_face_module

hf = pytest.importorskip("datasets")

WATER = ace_molecule([8, 1, 1], count=3)
CATION = ace_molecule([7, 1, 1, 1, 1], count=2, seed=1, charge=1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the package loads is kept in the folder of the test."""
    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    hf.Dataset.from_list(rows).to_parquet(path)
    return path


def test_samples_hold_what_the_rows_hold(tmp_path: Path) -> None:
    dataset = AceHF(paths=write(tmp_path / "a.parquet", ace_rows(WATER, CATION)))
    sample = dataset[4]
    assert len(dataset) == 5
    assert sample.z.tolist() == [7, 1, 1, 1, 1]
    assert sample.q.tolist() == [1.0]
    assert sample.y.item() == CATION["formation_energy"][1]
    assert np.array_equal(sample.pos, CATION["positions"][1])
    assert np.array_equal(sample.neg_dy, CATION["forces"][1])
    assert np.array_equal(sample.partial_charges, CATION["partial_charges"][1])
    assert np.array_equal(sample.dp[0], CATION["dipole_moment"][1])


def test_columns_of_fixed_shape_are_read(tmp_path: Path) -> None:
    shapes = {"positions": (3, 3), "forces": (3, 3)}
    features = hf.Features(
        {name: hf.Array2D(shape, "float64") for name, shape in shapes.items()}
        | {"atomic_numbers": hf.Sequence(hf.Value("int8"), length=3), "formation_energy": hf.Value("float64")}
    )
    rows = [{name: row[name] for name in features} for row in ace_rows(WATER)]
    hf.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "a.parquet")
    dataset = AceHF(paths=tmp_path / "a.parquet")
    assert dataset.fields == ("z", "pos", "neg_dy", "y")
    assert np.array_equal(dataset[2].pos, WATER["positions"][2])


def test_more_rows_than_a_batch_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hugging_face_module, "BATCH_ROWS", 2)
    dataset = AceHF(paths=write(tmp_path / "a.parquet", ace_rows(WATER, CATION)))
    assert dataset.num_atoms.tolist() == [3, 3, 3, 5, 5]
    assert np.array_equal(dataset[3].pos, CATION["positions"][0])


def test_a_split_can_be_sliced(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ace_rows(WATER, CATION))
    dataset = AceHF(paths=path, split="train[2:4]")
    assert dataset.num_atoms.tolist() == [3, 5]
    assert dataset.frame_name(1).endswith(".arrow, group split train[2:4], frame 1")
    assert len(AceHF(paths=path)) == 5


def test_several_files_and_folders_are_joined(tmp_path: Path) -> None:
    write(tmp_path / "data" / "b.parquet", ace_rows(CATION))
    write(tmp_path / "data" / "a.parquet", ace_rows(WATER))
    other = write(tmp_path / "z.parquet", ace_rows(CATION))
    assert AceHF("parquet", [other, tmp_path / "data"]).num_atoms.tolist() == [5] * 2 + [3] * 3 + [5] * 2


def test_rows_without_energy_are_left_out(tmp_path: Path) -> None:
    rows = ace_rows(WATER)
    rows[0]["formation_energy"] = float("nan")
    rows[2]["formation_energy"] = None
    dataset = AceHF(paths=write(tmp_path / "a.parquet", rows))
    assert dataset.energies().tolist() == [WATER["formation_energy"][1]]
    assert dataset.frame_name(0).endswith("frame 1")


@pytest.mark.parametrize(("limit", "expected"), [(None, [0, 1, 2]), (10.0, [0, 1]), (9.99, [0])])
def test_forces_up_to_max_gradient_are_kept(tmp_path: Path, limit: float | None, expected: list[int]) -> None:
    dataset = AceHF(paths=write(tmp_path / "a.parquet", ace_rows(WATER)), max_gradient=limit)
    assert dataset.energies().tolist() == WATER["formation_energy"][expected].tolist()


def test_changed_files_are_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ace_rows(WATER))
    assert len(AceHF(paths=path)) == 3
    write(path, ace_rows(CATION))
    assert len(AceHF(paths=path)) == 2


def test_a_name_on_the_hub_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, **given: Any) -> Any:
        asked.append((name, given))
        raise ConnectionError("no network")

    asked: list[Any] = []
    monkeypatch.setattr(hf, "load_dataset", load)
    for paths in (None, "small/*.parquet"):
        with pytest.raises(FileNotFoundError, match="'someone/molecules' cannot be fetched: no network"):
            AceHF("someone/molecules", paths, split="test")
    assert asked == [
        ("someone/molecules", {"data_files": None, "split": "test"}),
        ("someone/molecules", {"data_files": ["small/*.parquet"], "split": "test"}),
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"paths": None}, ValueError, "paths is missing; give Parquet files, .* or the name of a data set on the"),
        ({"paths": "nope.parquet"}, FileNotFoundError, r"paths: there is no file 'nope\.parquet'"),
        ({"split": "test"}, DatasetError, "the split 'test' of 'parquet' cannot be read: Unknown split"),
        ({"max_gradient": 0}, ValueError, "max_gradient is 0; a positive number"),
    ],
)
def test_wrong_arguments_are_told(
    tmp_path: Path, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    path = write(tmp_path / "a.parquet", ace_rows(WATER))
    with pytest.raises(error, match=message):
        AceHF(**({"paths": path} | arguments))


@pytest.mark.parametrize("name", ["positions", "forces"])
def test_a_missing_column_is_told(tmp_path: Path, name: str) -> None:
    rows = [{key: value for key, value in row.items() if key != name} for row in ace_rows(WATER)]
    with pytest.raises(DatasetError, match=f"there is no column {name} among atomic_numbers, "):
        AceHF(paths=write(tmp_path / "a.parquet", rows))


def test_lists_of_different_length_are_told(tmp_path: Path) -> None:
    rows = ace_rows(WATER)
    rows[1]["forces"] = rows[1]["forces"][:2]
    with pytest.raises(DatasetError, match=r"rows 0 to 2: forces holds 24 numbers; \(9, 3\) was expected"):
        AceHF(paths=write(tmp_path / "a.parquet", rows))


def test_a_file_that_is_no_parquet_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(DatasetError, match="the split 'train' of 'parquet' cannot be read"):
        AceHF(paths=tmp_path / "a.parquet")


@pytest.mark.parametrize("found", [None, ModuleSpec("datasets", None)], ids=["nothing", "a folder of that name"])
def test_the_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: ModuleSpec | None
) -> None:
    path = write(tmp_path / "a.parquet", ace_rows(WATER))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    with pytest.raises(ModuleNotFoundError, match=r"AceHF needs the package datasets .* 'torchmdnet\[hf\]'"):
        AceHF(paths=path)


def test_the_message_of_a_data_set_that_is_not_there_is_short(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"AceHF: the data set .* cannot be fetched: Unable to find '.*'$"):
        AceHF(tmp_path, paths="nothing_here")
