"""The native libraries are built with compilers alone, left out without them, and demanded on request."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "cpp_src"
COMPILER = os.environ.get("CXX", "c++")
NVCC = shutil.which("nvcc")

CPU, CUDA = "torchmdnet/ops/libtorchmdnet.so", "torchmdnet/ops/libtorchmdnet_cuda.so"
RECORD = "torchmdnet/ops/libtorchmdnet.json"

STAND_IN_NVCC = """#!/bin/sh
case "$1" in
    --version) echo "Cuda compilation tools, release 13.0, V13.0.1"; exit ;;
    --list-gpu-arch) printf 'compute_75\\ncompute_80\\ncompute_90\\n'; exit ;;
esac
if [ -e "$(dirname "$0")/broken" ]; then
    echo "cudafe++ died" >&2; echo "toy.cu(1): error: no such thing" >&2; exit 2
fi
while [ "$1" != -o ]; do shift; done
: >"$2"
"""
"""Knows an nvcc's answers, and makes an empty file where that would put an object or a library."""

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="there is a native build for Linux only"),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no C++ compiler {COMPILER}"),
]
needs_setuptools = pytest.mark.skipif(
    int(version("setuptools").split(".")[0]) < 77, reason="building a wheel needs setuptools >= 77"
)


def copy_project(target: Path) -> None:
    """What the build reads, but the package itself and the ops."""
    (target / "torchmdnet" / "ops").mkdir(parents=True)
    for package in ("torchmdnet", "torchmdnet/ops"):
        (target / package / "__init__.py").touch()
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, target)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project with one small source for the CPU and one for CUDA in the place of the ops."""
    target = tmp_path / "source"
    copy_project(target)
    (target / "cpp_src" / "cuda").mkdir(parents=True)
    for name in ("compiling.py", "cuda_toolkit.py", "torch_abi.h", "build_info.cpp", "lanes.h"):
        shutil.copy(SOURCE / name, target / "cpp_src")
    (target / "cpp_src" / "toy.cpp").write_text('#include "toy.h"\nextern "C" int toy() { return TOY; }\n')
    (target / "cpp_src" / "toy.h").write_text("#define TOY 1\n")
    (target / "cpp_src" / "cuda" / "toy.cu").write_text("__global__ void toy() {}\n")
    (target / "cpp_src" / "cuda" / "torch_cuda.h").write_text("int aoti_torch_toy(int);\n")
    return target


@pytest.fixture
def cuda_home(tmp_path: Path) -> Path:
    """A folder of a CUDA toolkit that compiles nothing."""
    nvcc = tmp_path / "toolkit" / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.write_text(STAND_IN_NVCC)
    nvcc.chmod(0o755)
    return nvcc.parents[1]


@pytest.fixture
def cuda_torch(tmp_path: Path) -> Path:
    """A folder of packages with a torch for CUDA, which cannot be imported."""
    folder = tmp_path / "site" / "torch"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('the build imported torch')\n")
    (folder / "version.py").write_text("__version__ = '2.13.0+cu130'\ncuda: str | None = '13.0'\nhip = None\n")
    return folder.parent


@pytest.fixture
def cpu_torch(cuda_torch: Path) -> Path:
    """The same with a torch that is not for CUDA."""
    (cuda_torch / "torch" / "version.py").write_text("__version__ = '2.13.0+cpu'\ncuda: str | None = None\n")
    return cuda_torch


def build(project: Path, command: str = "bdist_wheel", **settings: str | Path) -> subprocess.CompletedProcess[str]:
    """Build a wheel into ``project / "dist"``, whatever the tests themselves run with."""
    ours = ("TORCHMD_NATIVE", "FORCE_CUDA", "TORCH_CUDA_ARCH_LIST", "CUDA_HOME", "CUDA_PATH", "MAX_JOBS", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"PYTHONWARNINGS": "ignore"} | {name: str(value) for name, value in settings.items()}
    shutil.rmtree(project / "dist", ignore_errors=True)
    arguments = [sys.executable, "setup.py", "-q", command, "--dist-dir", "dist"]
    return subprocess.run(arguments, cwd=project, env=environment, capture_output=True, text=True, check=False)


def wheel(project: Path) -> zipfile.ZipFile:
    (path,) = (project / "dist").glob("*.whl")
    assert re.search(r"-py3-none-linux_\w+\.whl$", path.name)
    return zipfile.ZipFile(path)


def libraries(project: Path) -> list[str]:
    with wheel(project) as archive:
        return sorted(name for name in archive.namelist() if name.endswith(".so"))


def record(project: Path) -> dict[str, Any]:
    with wheel(project) as archive:
        written: dict[str, Any] = json.loads(archive.read(RECORD))
    return written


def compiled(run: subprocess.CompletedProcess[str]) -> set[str]:
    """Names of the sources that were compiled."""
    return {Path(name).name for name in re.findall(r" -c (\S+) -o ", run.stdout)}


# What is built


@needs_setuptools
def test_a_wheel_holds_the_library_and_serves_any_python(tmp_path: Path) -> None:
    copy_project(tmp_path / "all")
    shutil.copytree(SOURCE, tmp_path / "all" / "cpp_src", ignore=shutil.ignore_patterns("__pycache__"))
    run = build(tmp_path / "all", TORCHMD_NATIVE="require", FORCE_CUDA="0")
    assert run.returncode == 0, run.stderr + run.stdout
    assert libraries(tmp_path / "all") == [CPU]
    assert "march=native" not in run.stdout
    built = record(tmp_path / "all")
    assert re.search(r"\d+\.\d+", built["CPU"]["compiler"])
    assert built["CUDA"] == {"reason": "left out by FORCE_CUDA=0"}


@needs_setuptools
@pytest.mark.skipif(NVCC is None, reason="no nvcc in PATH")
def test_the_cuda_library_needs_torch_and_the_system_only(tmp_path: Path) -> None:
    copy_project(tmp_path / "all")
    shutil.copytree(SOURCE, tmp_path / "all" / "cpp_src", ignore=shutil.ignore_patterns("__pycache__", "cpu"))
    (tmp_path / "all" / "cpp_src" / "library.cpp").unlink()
    run = build(tmp_path / "all", FORCE_CUDA="1", TORCH_CUDA_ARCH_LIST="9.0")
    assert run.returncode == 0, run.stderr + run.stdout
    assert libraries(tmp_path / "all") == [CPU, CUDA]
    assert record(tmp_path / "all")["CUDA"]["architectures"] == ["9.0"]
    with wheel(tmp_path / "all") as archive:
        library = archive.extract(CUDA, tmp_path)
    dynamic = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(\w+)", dynamic))
    assert {"libtorch_cpu", "libtorch_cuda"} <= needed
    system = {"libstdc", "libm", "libgcc_s", "libc", "libdl", "libpthread", "librt", "ld"}
    assert needed <= {"libtorch_cpu", "libtorch_cuda"} | system
    symbols = subprocess.run(["nm", "-D", library], capture_output=True, text=True, check=True).stdout
    assert not re.search(r" cuda[A-Z]", symbols), "symbols of CUDA's run-time library are open to others"


@needs_setuptools
def test_cuda_ops_are_built_where_there_are_nvcc_and_a_torch_for_cuda(
    project: Path, cuda_home: Path, cuda_torch: Path
) -> None:
    run = build(project, CUDA_HOME=cuda_home, PYTHONPATH=cuda_torch)
    assert run.returncode == 0, run.stderr + run.stdout
    assert libraries(project) == [CPU, CUDA]
    assert record(project)["CUDA"] == {"compiler": "nvcc 13.0", "architectures": ["7.5", "8.0", "9.0+PTX"]}
    assert "-gencode=arch=compute_90,code=compute_90" in run.stdout


@needs_setuptools
def test_cuda_path_and_the_architectures_that_were_asked_for_are_honoured(
    project: Path, cuda_home: Path, cuda_torch: Path
) -> None:
    run = build(project, CUDA_PATH=cuda_home, PYTHONPATH=cuda_torch, TORCH_CUDA_ARCH_LIST="6.0;8.0 9.0a")
    assert run.returncode == 0, run.stderr + run.stdout
    assert record(project)["CUDA"]["architectures"] == ["8.0", "9.0a"]
    assert "nvcc does not offer 6.0; left out" in run.stderr


@needs_setuptools
def test_no_time_is_spent_on_cuda_ops_for_a_torch_without_cuda(project: Path, cuda_home: Path, cpu_torch: Path) -> None:
    run = build(project, CUDA_HOME=cuda_home, PYTHONPATH=cpu_torch)
    assert run.returncode == 0, run.stderr
    assert libraries(project) == [CPU]
    assert f"the CUDA ops are left out: torch 2.13.0+cpu in {cpu_torch / 'torch'} is not for CUDA" in run.stdout
    assert record(project)["CUDA"]["reason"].endswith("FORCE_CUDA=1 builds them all the same")


@needs_setuptools
def test_cuda_ops_are_built_for_a_torch_without_cuda_on_demand(project: Path, cuda_home: Path, cpu_torch: Path) -> None:
    run = build(project, CUDA_HOME=cuda_home, PYTHONPATH=cpu_torch, FORCE_CUDA="1")
    assert run.returncode == 0, run.stderr + run.stdout
    assert libraries(project) == [CPU, CUDA]


@needs_setuptools
def test_a_driver_too_old_for_the_toolkit_is_foreseen(project: Path, cuda_home: Path, cuda_torch: Path) -> None:
    (cuda_torch / "torch" / "version.py").write_text("__version__ = '2.10.0+cu128'\ncuda = '12.8'\n")
    run = build(project, CUDA_HOME=cuda_home, PYTHONPATH=cuda_torch)
    assert run.returncode == 0, run.stderr
    assert "nvcc 13.0 is newer than the CUDA 12.8 of torch 2.10.0+cu128" in run.stderr


@needs_setuptools
def test_a_rebuild_compiles_only_what_has_changed(project: Path) -> None:
    assert compiled(build(project)) == {"toy.cpp", "build_info.cpp"}
    assert compiled(build(project)) == set()
    (project / "cpp_src" / "toy.h").write_text("#define TOY 2\n")
    assert compiled(build(project)) == {"toy.cpp"}
    assert compiled(build(project, CXXFLAGS="-g0")) == {"toy.cpp", "build_info.cpp"}
    assert libraries(project) == [CPU]


@needs_setuptools
def test_nothing_of_an_earlier_build_is_installed_unasked(project: Path, cuda_home: Path) -> None:
    (project / "torchmdnet" / "old.py").touch()
    run = build(project, FORCE_CUDA="1", CUDA_HOME=cuda_home)
    assert run.returncode == 0, run.stderr + run.stdout
    (project / "torchmdnet" / "old.py").unlink()
    run = build(project, TORCHMD_NATIVE="0")
    assert run.returncode == 0, run.stderr
    assert "the native ops are left out: TORCHMD_NATIVE=0" in run.stdout
    assert libraries(project) == []
    assert record(project)["CPU"] == {"reason": "left out by TORCHMD_NATIVE=0"}
    with wheel(project) as archive:
        assert "torchmdnet/old.py" not in archive.namelist()


@needs_setuptools
def test_a_source_distribution_holds_all_that_the_build_reads(project: Path) -> None:
    run = build(project, "sdist")
    assert run.returncode == 0, run.stderr
    (path,) = (project / "dist").glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    files = {str(file.relative_to(project)) for file in (project / "cpp_src").rglob("*.*") if file.suffix != ".pyc"}
    assert {file for file in files if "__pycache__" not in file} <= names


# What happens without a compiler, or with a broken one


@needs_setuptools
def test_does_without_a_compiler_and_says_so(project: Path, cuda_home: Path, cuda_torch: Path) -> None:
    run = build(project, CXX="no-such-compiler", CUDA_HOME=cuda_home, PYTHONPATH=cuda_torch)
    assert run.returncode == 0
    assert "warning: the native ops were not built (no-such-compiler cannot be run: No such file" in run.stderr
    assert libraries(project) == []
    assert record(project)["CUDA"] == {"reason": "nothing without the native ops for the CPU"}


@needs_setuptools
@pytest.mark.parametrize("demand", ["TORCHMD_NATIVE=require", "FORCE_CUDA=1"])
def test_fails_without_a_compiler_where_the_library_is_demanded(project: Path, demand: str) -> None:
    run = build(project, CXX="no-such-compiler", **dict([demand.split("=")]))
    assert run.returncode != 0
    assert f"{demand}, but the native ops were not built: no-such-compiler cannot be run" in run.stderr


@needs_setuptools
def test_a_compiler_that_fails_is_quoted(project: Path) -> None:
    (project / "cpp_src" / "toy.cpp").write_text("no C++\n")
    run = build(project)
    assert run.returncode == 0
    assert re.search(r"were not built \(\S+ failed: cpp_src/toy.cpp:1:1: error: ", run.stderr)
    assert "cpp_src/toy.cpp:1:1" in record(project)["CPU"]["reason"]
    assert libraries(project) == []


@needs_setuptools
def test_a_broken_nvcc_leaves_the_library_for_the_cpu(project: Path, cuda_home: Path, cuda_torch: Path) -> None:
    (cuda_home / "bin" / "broken").touch()
    run = build(project, CUDA_HOME=cuda_home, PYTHONPATH=cuda_torch)
    assert run.returncode == 0, run.stderr
    text = "the CUDA ops were not built: nvcc failed: toy.cu(1): error: no such thing"
    assert run.stderr.count("warning: the") == 1
    assert f"warning: {text}; on a GPU, PyTorch's own take their place" in run.stderr
    assert libraries(project) == [CPU]


@needs_setuptools
@pytest.mark.parametrize(
    ("demand", "advice"), [("TORCHMD_NATIVE=require", "; FORCE_CUDA=0 leaves them out"), ("FORCE_CUDA=1", "")]
)
def test_fails_with_a_broken_nvcc_where_the_library_is_demanded(
    project: Path, cuda_home: Path, cuda_torch: Path, demand: str, advice: str
) -> None:
    (cuda_home / "bin" / "broken").touch()
    run = build(project, CUDA_HOME=cuda_home, PYTHONPATH=cuda_torch, **dict([demand.split("=")]))
    assert run.returncode != 0
    told = "the CUDA ops were not built: nvcc failed: toy.cu(1): error: no such thing"
    assert f"{demand}, but {told}{advice}" in run.stderr


@needs_setuptools
def test_fails_without_nvcc_where_cuda_is_demanded(project: Path, tmp_path: Path) -> None:
    run = build(project, CUDA_HOME=tmp_path, FORCE_CUDA="1")
    assert run.returncode != 0
    assert f"FORCE_CUDA=1, but the CUDA ops were not built: CUDA_HOME={tmp_path} has no bin/nvcc" in run.stderr


@needs_setuptools
def test_does_without_nvcc_and_says_so(project: Path, tmp_path: Path, cuda_torch: Path) -> None:
    run = build(project, CUDA_HOME=tmp_path, PYTHONPATH=cuda_torch)
    assert run.returncode == 0, run.stderr
    assert f"the CUDA ops are left out: CUDA_HOME={tmp_path} has no bin/nvcc" in run.stdout


@needs_setuptools
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"TORCHMD_NATIVE": "yes"}, "TORCHMD_NATIVE=yes is not known; choose one of auto, 0, require"),
        ({"FORCE_CUDA": "yes"}, "FORCE_CUDA=yes is not known; choose one of nothing, 0, 1"),
        ({"MAX_JOBS": "many"}, "MAX_JOBS=many is not a number of compilers to run at a time"),
        ({"FORCE_CUDA": "1", "TORCHMD_NATIVE": "0"}, "FORCE_CUDA=1 and TORCHMD_NATIVE=0 contradict each other"),
    ],
)
def test_a_wrong_setting_is_named(project: Path, settings: dict[str, str], message: str) -> None:
    run = build(project, **settings)
    assert run.returncode != 0
    assert message in run.stderr


# What is declared


def declared(header: str) -> set[str]:
    return set(re.findall(r"\b((?:aoti_torch|torch)_\w+)\(\w*[ )*]", (SOURCE / header).read_text()))


def exported(library: str) -> set[str]:
    (path,) = (Path(torch.__file__).parent / "lib").glob(library)
    symbols = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True)
    return {line.split()[-1] for line in symbols.stdout.splitlines()}


@pytest.mark.parametrize("header", ["torch_abi.h", "cuda/torch_cuda.h"])
def test_our_declarations_agree_with_torchs_own(tmp_path: Path, header: str) -> None:
    include = Path(torch.__file__).parent / "include"
    theirs = ["torch/csrc/inductor/aoti_torch/c/shim.h", "torch/csrc/stable/c/shim.h"]
    if not all((include / name).is_file() for name in theirs):
        pytest.skip("this torch was installed without its headers")
    (ours,) = re.findall(r'^extern "C" {\n.*?^}\n', (SOURCE / header).read_text(), flags=re.MULTILINE | re.DOTALL)
    source = tmp_path / "both.cpp"
    source.write_text("".join(f"#include <{name}>\n" for name in theirs) + ours)
    command = [COMPILER, "-std=c++17", "-DUSE_CUDA", "-fsyntax-only", f"-I{include}", str(source)]
    subprocess.run(command, check=True)


def test_every_declared_function_is_in_libtorch() -> None:
    assert declared("torch_abi.h") - exported("libtorch_cpu.so") == set()


def test_every_function_for_cuda_is_in_libtorch() -> None:
    missing = declared("cuda/torch_cuda.h") - exported("libtorch_cpu.so")
    if torch.version.cuda:
        assert missing - exported("libtorch_cuda.so") == set()
    else:
        products = {f"aoti_torch_cuda_{name}_out" for name in ("mm", "addmm", "bmm")}
        assert missing == {"aoti_torch_get_current_cuda_stream", *products}, "look them up in a torch for CUDA"
