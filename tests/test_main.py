"""``python -m torchmdnet`` tells what is installed, what was built, and what of it is used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from torchmdnet import __main__ as main
from torchmdnet.ops import native


@pytest.mark.parametrize("mode", ["auto", "0"])
def test_tells_what_is_installed(mode: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "torchmdnet"],
        cwd=tmp_path,  # not the sources, which may hold no library, but what is installed
        env={**os.environ, "TORCHMD_NATIVE": mode},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = {line[:11].strip(): line[12:] for line in run.stdout.splitlines()}
    assert rows["torch"].startswith(torch.__version__)
    off = "switched off by TORCHMD_NATIVE=0"
    built = native.LIBRARY.is_file()
    assert rows["CPU ops"].startswith(off if mode == "0" else "loaded from" if built else "not built: ")
    if mode == "0" or not native.CUDA_LIBRARY.is_file():
        assert rows["CUDA ops"].startswith(off if mode == "0" else "not built: ")
    assert ("this machine uses" in run.stdout) == (built and mode != "0")


def test_tells_how_the_library_for_cuda_was_built_where_it_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library = tmp_path / "library.so"
    library.touch()
    record = {"compiler": "nvcc 13.0", "architectures": ["8.0", "9.0+PTX"]}
    monkeypatch.setattr(native, "CUDA_LIBRARY", library)
    monkeypatch.setattr(native, "CUDA_AVAILABLE", False)
    monkeypatch.setattr(native, "CUDA_STATUS", "not loaded: a reason")
    monkeypatch.setattr(native, "build_record", lambda device: record)
    assert main.cuda_ops() == ["not loaded: a reason", "built by nvcc 13.0", "for 8.0, 9.0+PTX"]


@pytest.mark.parametrize(
    ("architecture", "capability", "expected"),
    [
        ("8.0", (8, 6), True),
        ("8.6", (8, 0), False),
        ("8.0", (9, 0), False),
        ("8.0+PTX", (9, 0), True),
        ("9.0+PTX", (8, 9), False),
        ("9.0a", (9, 0), True),
        ("10.0a", (10, 3), False),
        ("10.0f", (10, 3), True),
        ("10.0", (12, 0), False),
    ],
)
def test_knows_which_gpus_code_runs_on(architecture: str, capability: tuple[int, int], expected: bool) -> None:
    assert main.serves(architecture, capability) == expected
