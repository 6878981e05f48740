"""A user's own classes are found where users keep them."""

import json
import sys
from pathlib import Path

import pytest

from torchmdnet.import_path import import_class


def test_finds_what_is_in_a_package() -> None:
    assert import_class("json.decoder.JSONDecoder", kind="thing") is json.decoder.JSONDecoder


def test_finds_a_module_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python looks there for scripts, and not for installed commands."""
    (tmp_path / "things_of_mine.py").write_text("class Thing:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert import_class("things_of_mine.Thing", kind="thing").__name__ == "Thing"


def test_an_installed_module_wins_over_one_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("class JSONDecoder:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    assert import_class("json.JSONDecoder", kind="thing") is json.JSONDecoder


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module.Thing", r"the thing 'no_such_module\.Thing' cannot be imported: No module named .*PYTHONPATH"),
        ("json.Thing", r"the thing 'json\.Thing' does not exist: module 'json' has no 'Thing'"),
    ],
)
def test_says_what_is_missing(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        import_class(name, kind="thing")


def test_refuses_what_is_no_class() -> None:
    with pytest.raises(TypeError, match=r"the thing 'json\.dumps' must be a class, not <function"):
        import_class("json.dumps", kind="thing")
