"""Build the native ops as plain shared libraries through libtorch's stable C interface.

No torch is needed to build, only a C++ compiler, and nvcc for the ops on a GPU; the libraries bind to the libtorch
(2.10 or later) that ``import torch`` has loaded. Without a compiler, or on a system other than Linux, the package is
installed in pure Python and says so. What was built, and why not, is written beside the libraries.

TORCHMD_NATIVE = auto (default) | 0 (pure Python) | require (fail if a library cannot be built)
FORCE_CUDA = 1 (fail if the CUDA library cannot be built) | 0 (none) | unset: where there are nvcc and a torch for CUDA
TORCH_CUDA_ARCH_LIST, CUDA_HOME, CUDA_PATH, MAX_JOBS, CXX, CXXFLAGS as usual.
"""

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

SOURCE = Path("cpp_src")
sys.path.insert(0, str(SOURCE.resolve()))
import cuda_toolkit  # noqa: E402
from compiling import BuildError, compile_objects, num_jobs, run, stand_in, version_of  # noqa: E402

CPU = "torchmdnet.ops.libtorchmdnet"
CUDA = "torchmdnet.ops.libtorchmdnet_cuda"
RECORD = Path("torchmdnet/ops/libtorchmdnet.json")
FLAGS = ["-O3", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=fast", "-Wno-psabi"]
CUDA_FLAGS = ["-O3", "-std=c++17", "-Xcompiler=-fPIC,-fvisibility=hidden,-Wno-psabi"]
CHOICES = {"TORCHMD_NATIVE": ("auto", "0", "require"), "FORCE_CUDA": ("", "0", "1")}


def setting(name: str) -> str:
    """Read TORCHMD_NATIVE or FORCE_CUDA."""
    choices = CHOICES[name]
    value = os.environ.get(name, choices[0])
    if value not in choices:
        known = ", ".join(choice or "nothing" for choice in choices)
        raise SystemExit(f"{name}={value} is not known; choose one of {known}")
    return value


def reason_for_no_cuda() -> str:
    """Why the CUDA ops are not built, before anything is tried; empty if they are."""
    force, torch = setting("FORCE_CUDA"), cuda_toolkit.find_torch()
    if force == "0":
        return "left out by FORCE_CUDA=0"
    if cuda_toolkit.find_nvcc() is None:
        home = next((f"{name}={os.environ[name]}" for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)), None)
        return f"{home} has no bin/nvcc" if home else "no nvcc in PATH, CUDA_HOME or CUDA_PATH"
    if torch and torch.cuda is None and force != "1":
        return f"torch {torch.version} in {torch.folder} is not for CUDA; FORCE_CUDA=1 builds them all the same"
    return ""


class BuildNative(build_ext):
    """Compile and link without Python's and torch's headers; fall back to no library."""

    def get_ext_filename(self, fullname: str) -> str:
        """Name the library without a Python version: it holds no Python symbol."""
        return str(Path(*fullname.split(".")).with_suffix(".so"))

    def build_extensions(self) -> None:
        """Build the libraries, or say why there is none, and write down what was done."""
        for ext in self.extensions:  # one that was left here by an earlier build must not be installed
            Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)
        record = {"CPU": self.attempt_cpu()}
        record["CUDA"] = self.attempt_cuda(has_cpu="reason" not in record["CPU"])
        path = Path(self.build_lib) / RECORD
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    def attempt_cpu(self) -> dict[str, Any]:
        """Build the library for the CPU, unless told otherwise or impossible."""
        if setting("TORCHMD_NATIVE") == "0":
            if setting("FORCE_CUDA") == "1":
                raise SystemExit("FORCE_CUDA=1 and TORCHMD_NATIVE=0 contradict each other; unset one of them")
            print("the native ops are left out: TORCHMD_NATIVE=0")
            return {"reason": "left out by TORCHMD_NATIVE=0"}
        try:
            if sys.platform != "linux":
                raise BuildError(f"no native build for {sys.platform}")
            return self.build_cpu()
        except BuildError as error:
            for name, demand in (("TORCHMD_NATIVE", "require"), ("FORCE_CUDA", "1")):
                if setting(name) == demand:
                    raise SystemExit(f"{name}={demand}, but the native ops were not built: {error}") from error
            print(f"warning: the native ops were not built ({error}); PyTorch's own take their place", file=sys.stderr)
            return {"reason": str(error)}

    def attempt_cuda(self, *, has_cpu: bool) -> dict[str, Any]:
        """Build the library for CUDA where it can be of use, or must be."""
        if not has_cpu:
            return {"reason": "nothing without the native ops for the CPU"}
        forced = setting("FORCE_CUDA") == "1"
        reason = reason_for_no_cuda()
        if reason and not forced:
            print(f"the CUDA ops are left out: {reason}")
            return {"reason": reason}
        try:
            if reason:
                raise BuildError(reason)
            return self.build_cuda()
        except BuildError as error:
            text = f"the CUDA ops were not built: {error}"
            if forced:
                raise SystemExit(f"FORCE_CUDA=1, but {text}") from error
            if setting("TORCHMD_NATIVE") == "require":
                raise SystemExit(f"TORCHMD_NATIVE=require, but {text}; FORCE_CUDA=0 leaves them out") from error
            print(f"warning: {text}; on a GPU, PyTorch's own take their place", file=sys.stderr)
            return {"reason": str(error)}

    def build_cpu(self) -> dict[str, Any]:
        """Compile and link the library for the CPU."""
        compiler = shlex.split(os.environ.get("CXX", "c++"))
        version = version_of(compiler)
        work = Path(self.build_temp) / "cpu"
        sources = [path for path in SOURCE.rglob("*.cpp") if path.parent.name != "cuda"]
        flags = [*FLAGS, *shlex.split(os.environ.get("CXXFLAGS", ""))]
        objects = compile_objects([*compiler, *flags], sources, compiler=version, folder=work)
        stand_in("torch_cpu", header=SOURCE / "torch_abi.h", compiler=compiler, folder=work)
        libraries = [f"-L{work}", "-Wl,--no-as-needed", "-ltorch_cpu"]
        self.link([*compiler, *flags, "-shared", *objects], libraries, name=CPU)
        return {"compiler": version.splitlines()[0]}

    def build_cuda(self) -> dict[str, Any]:
        """Compile and link the library for CUDA, with its own copy of CUDA's run-time library."""
        nvcc = cuda_toolkit.ask_nvcc(cuda_toolkit.find_nvcc() or Path("nvcc"))
        cuda_toolkit.warn_of_newer_nvcc(nvcc.release, cuda_toolkit.find_torch())
        wanted = os.environ.get("TORCH_CUDA_ARCH_LIST", "")
        architectures = cuda_toolkit.choose_architectures(wanted, nvcc.architectures)
        compiler = shlex.split(os.environ.get("CXX", "c++"))
        host = [f"-ccbin={cuda_toolkit.host_compiler(compiler)}"] if "CXX" in os.environ else []
        codes = [f"--threads={num_jobs()}", *cuda_toolkit.code_options(architectures)]
        work = Path(self.build_temp) / "cuda"
        command = [str(nvcc.path), *CUDA_FLAGS, *host]
        objects = compile_objects([*command, *codes], SOURCE.glob("cuda/*.cu"), compiler=nvcc.version, folder=work)
        for library, header in (("torch_cpu", "torch_abi.h"), ("torch_cuda", "cuda/torch_cuda.h")):
            stand_in(library, header=SOURCE / header, compiler=compiler, folder=work)
        # The copy of CUDA's run-time library stays ours alone: torch may have loaded another version of it.
        libraries = [f"-L{work}", "-Xlinker=--no-as-needed,--exclude-libs=ALL", "-ltorch_cpu", "-ltorch_cuda"]
        self.link([*command, "-cudart=static", "-shared", *objects], libraries, name=CUDA)
        return {"compiler": f"nvcc {nvcc.release}", "architectures": architectures}

    def link(self, command: list[str], libraries: list[str], *, name: str) -> None:
        """Link under another name, so that a library is whole or not there."""
        target = Path(self.get_ext_fullpath(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".part")
        run([*command, "-o", str(partial), *libraries])
        partial.replace(target)

    def generated(self) -> list[str]:
        """The files that this command makes, from the folder of the sources or of the build."""
        return [*(self.get_ext_filename(ext.name) for ext in self.extensions), str(RECORD)]

    def copy_extensions_to_source(self) -> None:
        """Put the libraries beside the sources for an editable install, or take old ones away."""
        for name in self.generated():
            built = Path(self.build_lib) / name
            Path(name).unlink(missing_ok=True)
            if built.exists():
                shutil.copy(built, name)

    def get_outputs(self) -> list[str]:
        """List the libraries only if they are there."""
        return [str(path) for name in self.generated() if (path := Path(self.build_lib) / name).exists()]


class CopyModules(build_py):
    """Copy the Python files; none that an earlier build left, and that is no more, gets into a wheel."""

    def run(self) -> None:
        """Start from an empty folder."""
        if not self.editable_mode:
            shutil.rmtree(Path(self.build_lib) / "torchmdnet", ignore_errors=True)
        super().run()


class NativeWheel(bdist_wheel):
    """A wheel for any Python, of this platform."""

    def get_tag(self) -> tuple[str, str, str]:
        """Tell that the library needs the platform but no Python version."""
        _, _, platform = super().get_tag()
        return "py3", "none", platform


sources = [str(path) for path in sorted(SOURCE.rglob("*.cpp")) if path.parent.name != "cuda"]
headers = [str(path) for pattern in ("*.h", "*.cuh") for path in sorted(SOURCE.rglob(pattern))]
cuda_sources = [str(path) for path in sorted(SOURCE.glob("cuda/*.cu"))]
setup(
    ext_modules=[Extension(CPU, sources, depends=headers), Extension(CUDA, cuda_sources, depends=headers)],
    cmdclass={"build_ext": BuildNative, "build_py": CopyModules, "bdist_wheel": NativeWheel},
)
