"""The CUDA kernels, compiled for the CPU."""

import importlib.util
import os
import shlex
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pybind11
import pytest
import torch
from emulated_ops import SOURCES

HERE = Path(__file__).parent
TORCH = Path(torch.__file__).parent / "lib"


def has_cpp20(compiler: list[str]) -> bool:
    """Whether the compiler is there and knows C++20."""
    try:
        run = subprocess.run(
            [*compiler, "-std=c++20", "-fsyntax-only", "-x", "c++", "-"],
            input="#include <version>\n",
            text=True,
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return run.returncode == 0


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """What binding.cpp binds; beside it, emulated_library.cpp makes the ops ``torch.ops.torchmdnet_emulated``."""
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    if not has_cpp20(compiler):
        pytest.skip(f"{shlex.join(compiler)} compiles no C++20")
    library = tmp_path_factory.mktemp("emulation") / "emulated_kernels.so"
    # Jumps from one stack to another are what fortified sources forbid.
    flags = shlex.split("-std=c++20 -O1 -U_FORTIFY_SOURCE -shared -fPIC -fvisibility=hidden -Wall -Wextra -Werror")
    sources = [str(HERE / "binding.cpp"), str(HERE / "emulated_library.cpp")]
    link = [f"-L{TORCH}", f"-Wl,-rpath,{TORCH}", "-ltorch_cpu"]
    includes = [f"-I{SOURCES}", f"-I{pybind11.get_include()}", f"-I{sysconfig.get_paths()['include']}"]
    run = subprocess.run(
        [*compiler, *flags, *includes, *sources, "-o", str(library), *link],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    spec = importlib.util.spec_from_file_location("emulated_kernels", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ops(kernels: ModuleType) -> Iterator[Any]:
    """The emulated ops. Memory that they do not write is NaN or a huge number."""
    kernels.set_seed(0)
    kernels.set_captures(False)
    kernels.count_launches()
    kernels.count_waits()
    torch.use_deterministic_algorithms(True)
    yield torch.ops.torchmdnet_emulated
    torch.use_deterministic_algorithms(False)
    kernels.set_captures(False)
    kernels.set_seed(0)
