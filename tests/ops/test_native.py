"""How the native library is found, switched off and demanded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from torchmdnet.ops import native
from torchmdnet.ops.native import _load


def test_does_without_a_library_that_was_not_built(tmp_path: Path) -> None:
    assert _load("auto", tmp_path / "missing.so") == (False, "not built")


def test_is_switched_off_by_an_environment_variable() -> None:
    assert _load("0", native.LIBRARY) == (False, "switched off by TORCHMD_NATIVE=0")


def test_fails_where_the_library_is_demanded_and_missing(tmp_path: Path) -> None:
    with pytest.raises(
        ImportError, match=r"TORCHMD_NATIVE=require, but missing\.so was not built: install the package"
    ):
        _load("require", tmp_path / "missing.so")


def test_warns_of_a_library_that_cannot_be_loaded(tmp_path: Path) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    with pytest.warns(RuntimeWarning, match="cannot be loaded and PyTorch's own take their place"):
        available, status = _load("auto", broken)
    assert not available
    assert status.startswith("cannot be loaded")
    with pytest.raises(ImportError, match=r"broken\.so cannot be loaded"):
        _load("require", broken)


def test_names_the_choices_of_a_wrong_mode() -> None:
    with pytest.raises(ValueError, match="TORCHMD_NATIVE=yes is not known; choose one of auto, 0, require"):
        _load("yes", native.LIBRARY)


def test_takes_tensors_of_one_type_only() -> None:
    single, double = torch.zeros(1), torch.zeros(1, dtype=torch.float64)
    assert native.runs_natively(single, single) == native.AVAILABLE
    assert not native.runs_natively(single, double)
    assert not native.runs_natively(single.long())


@pytest.mark.parametrize("mode", ["auto", "0"])
def test_python_m_torchmdnet_tells_what_is_installed(mode: str, tmp_path: Path) -> None:
    environment = {**os.environ, "TORCHMD_NATIVE": mode}
    run = subprocess.run(
        [sys.executable, "-m", "torchmdnet"],
        cwd=tmp_path,  # not the sources, which may hold no library, but what is installed
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = dict(line.split(maxsplit=1) for line in run.stdout.replace("native ops", "native").splitlines())
    assert rows["torch"] == torch.__version__
    expected = "switched off by TORCHMD_NATIVE=0" if mode == "0" else "CPU" if native.LIBRARY.is_file() else "not built"
    assert rows["native"].startswith(expected)
