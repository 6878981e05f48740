"""Find nvcc, the torch that the package will run with, and the architectures to compile for. Imports no torch.

An isolated build does not have the torch of the environment that it installs into, but often its file
``torch/version.py`` can be read there.
"""

import ast
import importlib.util
import os
import re
import shutil
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from compiling import BuildError, run, version_of

__all__ = [
    "Nvcc",
    "TorchBuild",
    "ask_nvcc",
    "choose_architectures",
    "code_options",
    "find_nvcc",
    "find_torch",
    "host_compiler",
    "warn_of_newer_nvcc",
]

DEFAULT = ("7.5", "8.0", "8.6", "9.0", "10.0", "12.0")
"""One for each generation that needs code of its own; the last one's PTX serves what comes after."""

NAMES = {
    "Pascal": "6.0 6.1+PTX",
    "Volta": "7.0+PTX",
    "Volta+Tegra": "7.2",
    "Turing": "7.5+PTX",
    "Ampere": "8.0 8.6+PTX",
    "Ampere+Tegra": "8.7",
    "Ada": "8.9+PTX",
    "Hopper": "9.0+PTX",
    "Blackwell": "10.0 10.3 12.0 12.1+PTX",
    "Blackwell+Tegra": "11.0",
}
"""Names that TORCH_CUDA_ARCH_LIST may hold."""


class TorchBuild(NamedTuple):
    """What an installed torch says of itself."""

    version: str
    cuda: str | None
    """Version of CUDA; None in a build for another device."""
    folder: Path


class Nvcc(NamedTuple):
    """The compiler for CUDA."""

    path: Path
    version: str
    """All that it says of it."""
    release: str
    """As in 13.0."""
    architectures: list[str]
    """What it compiles for, as in 9.0, ascending."""


def find_nvcc() -> Path | None:
    """Look into CUDA_HOME, CUDA_PATH, PATH and the usual place; a variable that is set decides alone."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        home = os.environ.get(variable)
        if home:
            path = Path(home) / "bin" / "nvcc"
            return path if path.is_file() else None
    usual = Path("/usr/local/cuda/bin/nvcc")
    found = shutil.which("nvcc")
    return Path(found) if found else usual if usual.is_file() else None


def _site_folders() -> Iterator[Path]:
    """Folders of packages, the likeliest first: this interpreter's, then those of the environment around the build."""
    yield from (Path(path) for path in sys.path if path)
    yield Path(sysconfig.get_path("purelib"))  # pip hides it from an isolated build, but the interpreter is the same
    yield Path(sysconfig.get_path("platlib"))
    yield from (Path(path) for path in site.getsitepackages())
    yield Path(site.getusersitepackages())
    outer = [os.environ.get("VIRTUAL_ENV"), os.environ.get("CONDA_PREFIX"), sys.base_prefix]
    for prefix in filter(None, outer):
        yield from sorted(Path(prefix).glob("lib/python3*/site-packages"))


def _literal(text: str, name: str) -> str | None:
    """The value of ``name = '...'`` in Python source."""
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        is_it = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        value = getattr(node, "value", None)
        if is_it and isinstance(value, ast.Constant) and value.value is not None:
            return str(value.value)
    return None


def find_torch() -> TorchBuild | None:
    """Read the version of the torch that the package will run with; None where there is none to be seen."""
    editable = importlib.util.find_spec("torch")  # a torch that is developed in place is in no site folder
    origins = [Path(editable.origin).parent] if editable and editable.origin else []
    for folder in [*origins, *(path / "torch" for path in _site_folders())]:
        file = folder / "version.py"
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            return TorchBuild(_literal(text, "__version__") or "of unknown version", _literal(text, "cuda"), folder)
    return None


def ask_nvcc(path: Path) -> Nvcc:
    """Ask nvcc for its version and for what it compiles for.

    Raises:
        BuildError: It does not run, or says something else.
    """
    version = version_of([str(path)])
    release = re.search(r"release (\d+\.\d+)", version)
    text = run([str(path), "--list-gpu-arch"], show=False)
    numbers = sorted({int(number) for number in re.findall(r"^compute_(\d+)$", text, flags=re.MULTILINE)})
    if not release or not numbers:
        raise BuildError(f"{path} tells no release or no architecture; is it nvcc?")
    return Nvcc(path, version, release[1], [f"{number // 10}.{number % 10}" for number in numbers])


def warn_of_newer_nvcc(release: str, torch: TorchBuild | None) -> None:
    """A driver that serves torch's CUDA may be too old for code of a later major version."""
    if torch and torch.cuda and int(release.split(".")[0]) > int(torch.cuda.split(".")[0]):
        newer = f"nvcc {release} is newer than the CUDA {torch.cuda} of torch {torch.version}"
        print(f"warning: {newer}: the CUDA ops will need a driver for CUDA {release}", file=sys.stderr)


def host_compiler(compiler: list[str]) -> str:
    """The C++ compiler in a command that may begin with a cache."""
    return next((word for word in compiler if Path(word).name not in ("ccache", "sccache", "distcc")), "c++")


def _local_architectures() -> list[str]:
    """Those of this machine's GPUs."""
    try:
        text = run(["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"], show=False)
    except BuildError as error:
        raise BuildError(f"TORCH_CUDA_ARCH_LIST=native, but the GPUs cannot be asked: {error}") from error
    return sorted(set(text.split()))


def choose_architectures(wanted: str, offered: list[str]) -> list[str]:
    """The architectures to compile for, with ``+PTX`` where later GPUs shall be able to use the code as well.

    Args:
        wanted: TORCH_CUDA_ARCH_LIST: numbers, generations, ``native``, ``All``, or empty for a choice of ours.
        offered: What this nvcc knows. Others that were asked for are left out and named in a warning.

    Raises:
        SystemExit: A word of the list is none of these.
        BuildError: None of the list is offered.
    """
    words = re.split(r"[\s;,]+", wanted.strip()) if wanted.strip() else []
    if not words or words in (["Common"], ["Auto"]):
        words = [number for number in DEFAULT if number in offered] or list(offered)
        words[-1] += "+PTX"
    elif words == ["All"]:
        words = [*offered[:-1], f"{offered[-1]}+PTX"]
    elif words == ["native"]:
        words = _local_architectures()
    expanded = [number for word in words for number in NAMES.get(word, word).split()]
    for number in expanded:
        if not re.fullmatch(r"\d+\.\d[af]?(\+PTX)?", number):
            raise SystemExit(
                f"TORCH_CUDA_ARCH_LIST: {number} is not known; write numbers as in '8.0 9.0+PTX', native, All, or "
                f"some of {', '.join(NAMES)}"
            )
    chosen = [number for number in dict.fromkeys(expanded) if _base(number) in offered]
    unknown = [number for number in dict.fromkeys(expanded) if number not in chosen]
    if not chosen:
        raise BuildError(f"nvcc offers none of {', '.join(unknown)}, but {', '.join(offered)}")
    if unknown:
        print(f"warning: TORCH_CUDA_ARCH_LIST: nvcc does not offer {', '.join(unknown)}; left out", file=sys.stderr)
    return chosen


def _base(number: str) -> str:
    """``9.0a+PTX`` -> ``9.0``."""
    return number.removesuffix("+PTX").rstrip("af")


def code_options(architectures: list[str]) -> list[str]:
    """Options of nvcc for what ``choose_architectures`` gave."""
    options = []
    for number in architectures:
        code = number.removesuffix("+PTX").replace(".", "")
        options.append(f"-gencode=arch=compute_{code},code=sm_{code}")
        if number.endswith("+PTX"):
            options.append(f"-gencode=arch=compute_{code},code=compute_{code}")
    return options
