"""How the build chooses architectures and finds the torch that the package will run with."""

import importlib
import os
import subprocess
import sys
import venv
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).parents[2] / "cpp_src"
OFFERED = ["7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "10.0", "11.0", "10.3", "12.0", "12.1"]


@pytest.fixture
def toolkit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SOURCE)
    return importlib.import_module("cuda_toolkit")


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("", "7.5 8.0 8.6 9.0 10.0 12.0+PTX"),
        ("8.0;9.0+PTX", "8.0 9.0+PTX"),
        ("8.0 9.0a", "8.0 9.0a"),
        ("8.0, 8.6", "8.0 8.6"),
        ("10.0f", "10.0f"),
        ("Ampere", "8.0 8.6+PTX"),
        ("Ampere+Tegra;Hopper", "8.7 9.0+PTX"),
        ("8.0 8.0", "8.0"),
        ("All", "7.5 8.0 8.6 8.7 8.9 9.0 10.0 11.0 10.3 12.0 12.1+PTX"),
    ],
)
def test_architectures_are_written_as_torch_wants_them(toolkit: ModuleType, wanted: str, chosen: str) -> None:
    assert toolkit.choose_architectures(wanted, OFFERED) == chosen.split()


def test_defaults_are_what_an_older_nvcc_offers(toolkit: ModuleType) -> None:
    assert toolkit.choose_architectures("", ["5.0", "7.5", "8.0"]) == ["7.5", "8.0+PTX"]
    assert toolkit.choose_architectures("", ["5.0", "6.0"]) == ["5.0", "6.0+PTX"]


def test_architectures_that_nvcc_does_not_offer_are_left_out(
    toolkit: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert toolkit.choose_architectures("6.0 8.0 13.0+PTX", OFFERED) == ["8.0"]
    assert "nvcc does not offer 6.0, 13.0+PTX; left out" in capsys.readouterr().err
    with pytest.raises(Exception, match=r"nvcc offers none of 6\.0, but 7\.5, 8\.0"):
        toolkit.choose_architectures("6.0", OFFERED)


@pytest.mark.parametrize("word", ["sm_90", "9", "Hoper", "9.0+ptx", "hopper"])
def test_a_word_that_is_no_architecture_is_named(toolkit: ModuleType, word: str) -> None:
    with pytest.raises(SystemExit) as caught:
        toolkit.choose_architectures(f"8.0 {word}", OFFERED)
    assert f"TORCH_CUDA_ARCH_LIST: {word} is not known; write numbers as in '8.0 9.0+PTX'" in str(caught.value)


def test_native_asks_the_gpus(toolkit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\nprintf '9.0\\n8.0\\n9.0\\n'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert toolkit.choose_architectures("native", OFFERED) == ["8.0", "9.0"]
    monkeypatch.setenv("PATH", str(SOURCE))
    with pytest.raises(Exception, match="TORCH_CUDA_ARCH_LIST=native, but the GPUs cannot be asked"):
        toolkit.choose_architectures("native", OFFERED)


def test_code_of_each_architecture_and_ptx_are_asked_for(toolkit: ModuleType) -> None:
    assert toolkit.code_options(["9.0a", "12.0+PTX"]) == [
        "-gencode=arch=compute_90a,code=sm_90a",
        "-gencode=arch=compute_120,code=sm_120",
        "-gencode=arch=compute_120,code=compute_120",
    ]


def test_a_variable_that_names_the_toolkit_decides_alone(
    toolkit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert toolkit.find_nvcc() is None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvcc").touch()
    assert toolkit.find_nvcc() == tmp_path / "bin" / "nvcc"


def test_a_program_that_is_no_nvcc_is_found_out(toolkit: ModuleType, tmp_path: Path) -> None:
    program = tmp_path / "nvcc"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    with pytest.raises(Exception, match="tells no release or no architecture; is it nvcc"):
        toolkit.ask_nvcc(program)


def test_a_cache_before_the_compiler_is_not_the_compiler(toolkit: ModuleType) -> None:
    assert toolkit.host_compiler(["ccache", "g++", "-m64"]) == "g++"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment with a torch for CUDA that cannot be imported."""
    folder = tmp_path / "environment"
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "torch").mkdir()
    (packages / "torch" / "__init__.py").write_text("raise RuntimeError('the build imported torch')\n")
    (packages / "torch" / "version.py").write_text("__version__ = '2.13.0+cu130'\ncuda: str | None = '13.0'\n")
    return folder


def found_torch(python: Path | str, **settings: str) -> str:
    """What is found where no site folder is in the path, as in pip's isolated builds."""
    code = (
        "import sys, sysconfig; hidden = sysconfig.get_path('purelib')\n"
        f"sys.path[:] = [{str(SOURCE)!r}] + [path for path in sys.path if 'site-packages' not in path]\n"
        "import cuda_toolkit; print(cuda_toolkit.find_torch())"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    run = [str(python), "-c", code]
    return subprocess.run(run, env=environment | settings, capture_output=True, text=True, check=True).stdout


def test_finds_the_torch_of_the_environment_that_pip_builds_for(environment: Path) -> None:
    assert "version='2.13.0+cu130', cuda='13.0'" in found_torch(environment / "bin" / "python")


def test_finds_the_torch_of_the_active_environment(environment: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    venv.create(empty, symlinks=True)
    told = found_torch(empty / "bin" / "python", VIRTUAL_ENV=str(environment))
    assert "version='2.13.0+cu130', cuda='13.0'" in told


def test_does_not_import_the_torch_that_it_finds(toolkit: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    found = toolkit.find_torch()
    assert found is not None
    assert found.version == importlib.import_module("torch").__version__
    assert (found.folder / "version.py").is_file()
    assert sys.modules["torch"].version.cuda == found.cuda
