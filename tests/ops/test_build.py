"""The native library is built with a compiler alone, left out without one, and demanded on request."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).parents[2]
ABI = REPOSITORY / "cpp_src" / "torch_abi.h"
COMPILER = os.environ.get("CXX", "c++")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="there is a native build for Linux only"),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no C++ compiler {COMPILER}"),
]
needs_setuptools = pytest.mark.skipif(
    int(version("setuptools").split(".")[0]) < 77, reason="building a wheel needs setuptools >= 77"
)


def build_wheel(work: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build a wheel from a copy of the sources that the build reads, into ``work / "dist"``.

    TORCHMD_NATIVE is what is given here, auto by default, whatever the tests themselves run with.
    """
    source = work / "source"
    if not source.exists():
        source.mkdir()
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(REPOSITORY / name, source)
        shutil.copytree(REPOSITORY / "cpp_src", source / "cpp_src")
        shutil.copytree(
            REPOSITORY / "torchmdnet" / "ops", source / "torchmdnet" / "ops", ignore=lambda *_: ["__pycache__"]
        )
        (source / "torchmdnet" / "__init__.py").touch()
    return subprocess.run(
        [sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", str(work / "dist")],
        cwd=source,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "TORCHMD_NATIVE": "auto", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def libraries_in_wheel(work: Path) -> list[str]:
    (wheel,) = (work / "dist").glob("*.whl")
    assert re.search(r"-py3-none-linux_\w+\.whl$", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if name.endswith(".so")]


@needs_setuptools
def test_a_wheel_holds_the_library_and_serves_any_python(tmp_path: Path) -> None:
    run = build_wheel(tmp_path, TORCHMD_NATIVE="require")
    assert run.returncode == 0, run.stderr
    assert libraries_in_wheel(tmp_path) == ["torchmdnet/ops/libtorchmdnet.so"]


@needs_setuptools
def test_a_library_of_an_earlier_build_is_not_installed_unasked(tmp_path: Path) -> None:
    assert build_wheel(tmp_path).returncode == 0
    shutil.rmtree(tmp_path / "dist")
    run = build_wheel(tmp_path, TORCHMD_NATIVE="0")
    assert run.returncode == 0, run.stderr
    assert "the native ops are left out: TORCHMD_NATIVE=0" in run.stdout
    assert libraries_in_wheel(tmp_path) == []


@needs_setuptools
def test_does_without_a_compiler_and_says_so(tmp_path: Path) -> None:
    run = build_wheel(tmp_path, CXX="no-such-compiler")
    assert run.returncode == 0
    assert "warning: the native ops were not built" in run.stderr
    assert libraries_in_wheel(tmp_path) == []


@needs_setuptools
def test_fails_without_a_compiler_where_the_library_is_demanded(tmp_path: Path) -> None:
    run = build_wheel(tmp_path, CXX="no-such-compiler", TORCHMD_NATIVE="require")
    assert run.returncode != 0
    assert "TORCHMD_NATIVE=require, but the native ops were not built" in run.stderr


@needs_setuptools
def test_names_the_choices_of_a_wrong_mode(tmp_path: Path) -> None:
    run = build_wheel(tmp_path, TORCHMD_NATIVE="yes")
    assert run.returncode != 0
    assert "TORCHMD_NATIVE=yes is not known; choose one of auto, 0, require" in run.stderr


def test_our_declarations_agree_with_torchs_own(tmp_path: Path) -> None:
    include = Path(torch.__file__).parent / "include"
    headers = ["torch/csrc/inductor/aoti_torch/c/shim.h", "torch/csrc/stable/c/shim.h"]
    if not all((include / header).is_file() for header in headers):
        pytest.skip("this torch was installed without its headers")
    source = tmp_path / "both.cpp"
    source.write_text("".join(f"#include <{header}>\n" for header in headers) + f'#include "{ABI}"\n')
    subprocess.run([COMPILER, "-std=c++17", "-fsyntax-only", f"-I{include}", str(source)], check=True)


def test_every_declared_function_is_in_libtorch() -> None:
    (library,) = (Path(torch.__file__).parent / "lib").glob("libtorch_cpu.so")
    exported = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True)
    names = {line.split()[-1] for line in exported.stdout.splitlines()}
    declared = set(re.findall(r"\b((?:aoti_torch|torch)_\w+)\(", ABI.read_text()))
    assert declared - names == set()
