"""Build the native ops as a plain shared library through libtorch's stable C interface.

No torch is needed to build, only a C++ compiler; the library binds to the libtorch (2.10 or later) that ``import
torch`` has loaded. Without a compiler, or on a system other than Linux, the package is installed in pure Python and
says so.

TORCHMD_NATIVE = auto (default) | 0 (pure Python) | require (fail if the library cannot be built)
CXX, CXXFLAGS as usual.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

SOURCE = Path("cpp_src")
LIBRARY = "torchmdnet.ops.libtorchmdnet"
FLAGS = ["-O3", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=fast", "-Wno-psabi"]
MODES = ("auto", "0", "require")


def native_mode() -> str:
    """Read TORCHMD_NATIVE."""
    mode = os.environ.get("TORCHMD_NATIVE", "auto")
    if mode not in MODES:
        raise SystemExit(f"TORCHMD_NATIVE={mode} is not known; choose one of {', '.join(MODES)}")
    return mode


class BuildNative(build_ext):
    """Compile and link without Python's and torch's headers; fall back to no library."""

    def get_ext_filename(self, fullname: str) -> str:
        """Name the library without a Python version: it holds no Python symbol."""
        return str(Path(*fullname.split(".")).with_suffix(".so"))

    def build_extension(self, ext: Extension) -> None:
        """Build the library, or say why there is none."""
        target = Path(self.get_ext_fullpath(ext.name))
        target.unlink(missing_ok=True)  # one that was left here by an earlier build must not be installed
        if native_mode() == "0":
            print("the native ops are left out: TORCHMD_NATIVE=0")
            return
        try:
            if sys.platform != "linux":
                raise OSError(f"no native build for {sys.platform}")
            self.compile(ext, target)
        except (subprocess.CalledProcessError, OSError) as error:
            if native_mode() == "require":
                raise SystemExit(f"TORCHMD_NATIVE=require, but the native ops were not built: {error}") from error
            print(f"warning: the native ops were not built ({error}); PyTorch's own take their place", file=sys.stderr)

    def compile(self, ext: Extension, target: Path) -> None:
        """Link against an empty library of libtorch's name, so that the loader binds to the real one."""
        compiler = shlex.split(os.environ.get("CXX", "c++"))
        work = Path(self.build_temp)
        work.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        header = (SOURCE / "torch_abi.h").read_text()
        names = sorted(set(re.findall(r"\b((?:aoti_torch|torch)_\w+)\(", header)))
        stub = work / "stub.cpp"
        stub.write_text("".join(f'extern "C" void {name}() {{}}\n' for name in names))
        soname = "-Wl,-soname,libtorch_cpu.so"
        self.call([*compiler, "-shared", "-fPIC", soname, str(stub), "-o", str(work / "libtorch_cpu.so")])
        flags = [*FLAGS, *shlex.split(os.environ.get("CXXFLAGS", ""))]
        link = [f"-L{work}", "-Wl,--no-as-needed", "-ltorch_cpu"]
        partial = target.with_suffix(".part")
        self.call([*compiler, *flags, "-shared", *ext.sources, "-o", str(partial), *link])
        partial.replace(target)

    def call(self, command: list[str]) -> None:
        """Run a compiler and show the command."""
        print(shlex.join(command), flush=True)
        subprocess.run(command, check=True)

    def copy_extensions_to_source(self) -> None:
        """Put the library beside the sources for an editable install, or take an old one away."""
        for ext in self.extensions:
            name = self.get_ext_filename(ext.name)
            built = Path(self.build_lib) / name
            Path(name).unlink(missing_ok=True)
            if built.exists():
                shutil.copy(built, name)

    def get_outputs(self) -> list[str]:
        """List the library only if there is one."""
        return [path for path in super().get_outputs() if Path(path).exists()]


class NativeWheel(bdist_wheel):
    """A wheel for any Python, of this platform."""

    def get_tag(self) -> tuple[str, str, str]:
        """Tell that the library needs the platform but no Python version."""
        _, _, platform = super().get_tag()
        return "py3", "none", platform


sources = [str(path) for path in sorted(SOURCE.rglob("*.cpp"))]
headers = [str(path) for path in sorted(SOURCE.rglob("*.h"))]
setup(
    ext_modules=[Extension(LIBRARY, sources, depends=headers)],
    cmdclass={"build_ext": BuildNative, "bdist_wheel": NativeWheel},
)
