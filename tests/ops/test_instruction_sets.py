"""The ops give the same on machines with fewer instructions than this one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from torchmdnet.ops import native

TESTS = Path(__file__).parents[1]
INSTALLED = native.LIBRARY.parents[2]
"""Where the tested package lies: not in the working directory, whose sources have no library beside them."""
FILES = [
    "neighbors/test_against_reference.py",
    "neighbors/test_structure.py",
    "ops/test_tensor_message.py",
    "ops/test_table_message.py",
    "ops/test_table_environment.py",
    "ops/test_tensor_passes.py",
]


@pytest.mark.skipif(not native.AVAILABLE, reason="the native ops were not built")
@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_other_instruction_sets_find_the_same(capability: str) -> None:
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": capability, "OMP_NUM_THREADS": "1"}
    tests = [str(TESTS / name) for name in FILES]
    settings = ["-c", str(TESTS.parent / "pyproject.toml"), "--rootdir", str(TESTS.parent)]
    plugins = ["-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", *plugins, *settings, *tests]
    run = subprocess.run(command, cwd=INSTALLED, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:]


@pytest.mark.skipif(not native.AVAILABLE, reason="the native ops were not built")
def test_the_environment_asks_for_fewer_instructions() -> None:
    command = [sys.executable, "-c", "from torchmdnet.ops import native; print(native.instruction_sets()[1])"]
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    used = subprocess.run(command, cwd=INSTALLED, env=environment, capture_output=True, text=True, check=True).stdout
    assert used.strip() == "baseline"
