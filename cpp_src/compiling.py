"""Compile sources to a shared library: an object a source, several at a time, what has not changed not again.

Used by setup.py; needs nothing but Python.
"""

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["BuildError", "compile_objects", "num_jobs", "run", "stand_in", "version_of"]


class BuildError(Exception):
    """A compiler is missing or failed; the text is one line."""


def num_jobs() -> int:
    """Compilers that run at a time: MAX_JOBS, else the cores that this process may use."""
    text = os.environ.get("MAX_JOBS", "").strip()
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdigit() or int(text) < 1:
        raise SystemExit(f"MAX_JOBS={text} is not a number of compilers to run at a time; give 1 or more, or unset it")
    return int(text)


def run(command: list[str], *, show: bool = True) -> str:
    """Run a compiler, show the command and what it says, and return that.

    Raises:
        BuildError: It is missing or fails; the text has the first error that it reports.
    """
    if show:
        print(shlex.join(command) + "\n", end="", flush=True)  # one write: several of them run at a time
    name = Path(command[0]).name
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error.strerror}") from error
    if (show or done.returncode) and done.stdout:
        print(done.stdout, end="", flush=True)
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        errors = [line for line in lines if re.search(r"\b(error|fatal)\b", line, re.IGNORECASE)]
        told = next(iter(errors or lines[-1:]), f"exit status {done.returncode}")
        raise BuildError(f"{name} failed: {told}")
    return done.stdout


def version_of(compiler: list[str]) -> str:
    """All that a compiler says of its version."""
    return run([*compiler, "--version"], show=False)


def _headers_of(source: Path, seen: set[Path]) -> set[Path]:
    """The source and the project's headers that it includes, directly or not."""
    if source not in seen and source.is_file():
        seen.add(source)
        for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', source.read_text(encoding="utf-8"), flags=re.MULTILINE):
            _headers_of((source.parent / name).resolve(), seen)
    return seen


def _object_of(source: Path, *, compiler: str, command: list[str], folder: Path) -> Path:
    """Where the object goes: its name tells compiler, options and contents, so that it is never stale."""
    digest = hashlib.sha256(f"{compiler}\n{shlex.join(command)}\n".encode())
    for path in sorted(_headers_of(source.resolve(), set())):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return folder / f"{source.parent.name}-{source.stem}-{digest.hexdigest()[:16]}.o"


def compile_objects(command: list[str], sources: Iterable[Path], *, compiler: str, folder: Path) -> list[str]:
    """Compile each source unless its object is there, and delete objects of other versions of these sources.

    Args:
        command: Compiler and options.
        sources: Files of C++ or CUDA.
        compiler: What tells this compiler from another, of the same name.
        folder: Where the objects are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    objects = {
        source: _object_of(source, compiler=compiler, command=command, folder=folder) for source in sorted(sources)
    }
    for old in set(folder.glob("*.o")) - set(objects.values()):
        old.unlink()

    def make(source: Path) -> None:
        target = objects[source]
        if not target.exists():
            partial = target.with_suffix(".part")  # a build that is interrupted leaves no half an object
            run([*command, "-c", str(source), "-o", str(partial)])
            partial.replace(target)

    with ThreadPoolExecutor(num_jobs()) as pool:
        for finished in [pool.submit(make, source) for source in objects]:
            finished.result()
    return [str(path) for path in objects.values()]


def stand_in(library: str, *, header: Path, compiler: list[str], folder: Path) -> None:
    """Make an empty library of the name and with the functions of one of libtorch's.

    What is linked to it binds, when it is loaded, to the library of that name that ``import torch`` has loaded.

    Args:
        library: As in ``torch_cpu``.
        header: Declares the functions.
        compiler: For C++.
        folder: Where ``lib*.so`` is put.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(set(re.findall(r"\b((?:aoti_torch|torch)_\w+)\(", header.read_text(encoding="utf-8"))))
    source = folder / f"{library}.cpp"
    source.write_text("".join(f'extern "C" void {name}() {{}}\n' for name in names), encoding="utf-8")
    soname = f"-Wl,-soname,lib{library}.so"
    run([*compiler, "-shared", "-fPIC", soname, str(source), "-o", str(folder / f"lib{library}.so")])
