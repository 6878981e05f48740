"""SDF files: fixed columns, data items, and what is wrong with a file."""

from pathlib import Path

import pytest
from sdf_files import WATER_SDF, sdf_record

from torchmdnet.datasets import DatasetError
from torchmdnet.datasets.sdf import SDFRecord, read_sdf


def read(path: Path, text: str) -> list[SDFRecord]:
    path.write_text(text)
    return list(read_sdf(path))


def test_reads_title_numbers_and_positions(tmp_path: Path) -> None:
    (record,) = read(tmp_path / "a.sdf", sdf_record(WATER_SDF, title="water"))
    assert record.title == "water"
    assert record.numbers.tolist() == [8, 1, 1]
    assert record.positions.tolist() == [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]


def test_numbers_that_touch_are_told_apart(tmp_path: Path) -> None:
    (record,) = read(tmp_path / "a.sdf", sdf_record([("Br", (-1000.25, -2000.5, -3000.75))]))
    assert record.positions.tolist() == [[-1000.25, -2000.5, -3000.75]]


def test_data_items_belong_to_their_record(tmp_path: Path) -> None:
    text = sdf_record(WATER_SDF, items={"deltaE": "1.5", "note": "two\nlines"}) + sdf_record(WATER_SDF)
    first, second = read(tmp_path / "a.sdf", text)
    assert first.properties == {"deltaE": "1.5", "note": "two\nlines"}
    assert second.properties == {}


def test_names_of_items_are_found_beside_registry_numbers(tmp_path: Path) -> None:
    text = sdf_record(WATER_SDF).replace("$$$$", ">  DT12  <Energy>  (7)\n-3\n\n$$$$")
    assert read(tmp_path / "a.sdf", text)[0].properties == {"Energy": "-3"}


def test_line_ends_of_windows_and_a_missing_last_separator_do_no_harm(tmp_path: Path) -> None:
    text = (sdf_record(WATER_SDF) * 2).replace("\n", "\r\n").removesuffix("$$$$\r\n")
    assert [record.numbers.tolist() for record in read(tmp_path / "a.sdf", text)] == [[8, 1, 1]] * 2


def test_hydrogen_isotopes_are_hydrogen(tmp_path: Path) -> None:
    assert read(tmp_path / "a.sdf", sdf_record([("D", (0, 0, 0)), ("T", (1, 0, 0))]))[0].numbers.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("V2000", "V3000", r"record 1 \(from line 10\): the fourth line is '.*V3000'; counts of a V2000 block"),
        ("  3  0", "  x  0", "the fourth line is '  x  0"),
        ("  3  0", " 30  0", r"the block has \d+ atom lines, but its counts line says  30"),
        ("M  END\n", "", "has no line 'M  END'; the file is cut off"),
        ("O   0", "Xx  0", "atom line .*Xx.* cannot be read; three numbers of ten characters"),
        ("    0.9600", "    0.9b00", "atom line '    0.9b00"),
    ],
)
def test_a_broken_record_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = sdf_record(WATER_SDF)
    with pytest.raises(DatasetError, match=message):
        read(tmp_path / "a.sdf", text + text.replace(old, new))


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    assert read(tmp_path / "a.sdf", "\n") == []


def test_genuine_files_are_read_whole(test_data: Path) -> None:
    folder = test_data / "data" / "qm9_raw"
    records = [*read_sdf(folder / "gdb9.sdf")]
    assert len(records) == 700
    assert records[0].title == "gdb_59"
    assert records[-1].title == "gdb_133700"
