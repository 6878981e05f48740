"""Options as text: sizes of sets, and parsed arguments in a file."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import yaml

from torchmdnet.config.option_text import number, save_argparse


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), (" 3 ", 3), ("-1", -1), ("1.0", 1.0), ("0.5", 0.5), ("1e-3", 0.001), ("None", None), (None, None)],
)
def test_a_size_without_a_dot_is_whole(text: str | None, value: float | None) -> None:
    assert number(text) == value
    assert type(number(text)) is type(value)


@pytest.mark.parametrize("value", [3, 0.5])
def test_a_number_stays_what_it_is(value: float) -> None:
    assert number(value) is value


@pytest.mark.parametrize("text", ["abc", "", "1/2"])
def test_a_text_that_is_no_number_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=f"^'{text}' is no number; write a count such as 100, a fraction such as 0"):
        number(text)


def test_serves_as_a_type_of_argparse(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--train-size", type=number)
    assert parser.parse_args(["--train-size", "0.8"]).train_size == 0.8
    with pytest.raises(SystemExit):
        parser.parse_args(["--train-size", "most"])
    assert "invalid number value: 'most'" in capsys.readouterr().err


def parsed(**others: Any) -> argparse.Namespace:
    return argparse.Namespace(lr=1e-3, arg={"sizes": [1, 2]}, conf="a.yaml", load_model=None, **others)


@pytest.mark.parametrize("name", ["input.yaml", "input.yml"])
def test_arguments_are_written_sorted_without_those_left_out(tmp_path: Path, name: str) -> None:
    save_argparse(parsed(), tmp_path / name, exclude=["conf"])
    expected = "arg:\n  sizes:\n  - 1\n  - 2\nload_model: null\nlr: 0.001\n"
    assert (tmp_path / name).read_text() == expected


def test_nothing_needs_to_be_left_out(tmp_path: Path) -> None:
    save_argparse(parsed(sizes=(1, 2)), tmp_path / "a.yaml")
    assert yaml.safe_load((tmp_path / "a.yaml").read_text()) == vars(parsed(sizes=[1, 2]))


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.txt' ends in \.txt; a name in \.yaml or \.yml was expected$"):
        save_argparse(parsed(), tmp_path / "a.txt")


def test_a_value_that_yaml_cannot_hold_is_named_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^root: PosixPath\('data'\) cannot be written as YAML; exclude it"):
        save_argparse(parsed(root=Path("data")), tmp_path / "a.yaml")
    assert not (tmp_path / "a.yaml").exists()
