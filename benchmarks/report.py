"""Tables in Markdown, and a file of them that is whole at any moment."""

import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

HIDDEN = "PEER/bin/python"


def line(cells: Sequence[object]) -> str:
    """A row of a table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(title: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A title and its rows."""
    return "\n".join([line(title), line(["---"] * len(title)), *(line(cells) for cells in rows)])


def notes(title: str, lines: Iterable[str]) -> str:
    """A list under a title; nothing where there are no lines."""
    found = [f"- {text}" for text in sorted(set(lines))]
    return "\n".join([title, "", *found]) if found else ""


def processor() -> str:
    """Name of the CPU, as far as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [text for text in cpuinfo.read_text().splitlines() if "model name" in text] if cpuinfo.exists() else []
    return f"{os.cpu_count()} x {names[0].split(':')[1].strip() if names else platform.machine()}"


def command(script: str) -> str:
    """The words that this program was called with, without what only this machine has."""
    words = sys.argv[1:]
    shown = [_public(flag, word) for flag, word in zip(["", *words[:-1]], words, strict=True)]
    return f"`{' '.join([f'python benchmarks/{script}', *shown])}`"


def _public(flag: str, word: str) -> str:
    if flag == "--peer-python":
        return HIDDEN
    return Path(word).name if flag in ("--output", "--records") else word


class Deadline:
    """When to stop.

    Args:
        seconds: From now; 0: never.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds if seconds else float("inf")

    def left(self) -> float:
        """Seconds, none once it is over."""
        return max(0.0, self._end - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether it is time."""
        return self.left() == 0.0


class Report:
    """Text that grows: a file that is written anew each time, or stdout at the end.

    Args:
        path: Of the file; None: stdout.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.text = ""

    def write(self, parts: Iterable[str]) -> None:
        """Replace all there is; empty parts are left out."""
        self.text = "\n\n".join(part for part in parts if part) + "\n"
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(self.path.name + ".new")
        beside.write_text(self.text)
        beside.replace(self.path)

    def close(self) -> None:
        """Print what has no file."""
        if self.path is None:
            print(self.text, end="")
