"""How a worker of a benchmark talks to its parent: orders and answers in JSON, a line each."""

import json
import os
import resource
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

__all__ = ["KIB", "peak_bytes", "serve"]

KIB = 1024


def serve(make_worker: Callable[[], Any], *, distribution: str, memory: float) -> None:
    """Obey until stdin ends: an order names a method of the worker and its arguments, and an answer is its result.

    Args:
        make_worker: Called once the package is known to be there.
        distribution: Of the package that the worker measures.
        memory: GiB that the process may hold; 0: no limit.
    """
    answers = _private_stdout()
    try:
        hello = {"version": version(distribution)}
        worker = make_worker()
    except Exception as error:  # whatever the import says is the entry of the table
        print(json.dumps({"missing": f"{type(error).__name__}: {error}"}), file=answers)
        return
    if memory:
        limit = int(memory * KIB**3)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    print(json.dumps(hello), file=answers)
    for line in sys.stdin:
        order = json.loads(line)
        task = getattr(worker, order.pop("do"))
        try:
            answer = task(**order)
        except Exception as error:  # whatever a library says is the entry of the table
            lines = [text for text in str(error).splitlines() if text.strip()] or [""]
            answer = {"why": f"{type(error).__name__}: {lines[0].strip()[:160]}"}
        print(json.dumps(answer), file=answers)


def peak_bytes() -> int:
    """Memory of this process at its largest, torch included."""
    status = Path("/proc/self/status").read_text()
    return KIB * int(status.split("VmHWM:")[1].split()[0])


def _private_stdout() -> TextIO:
    """The stream to the parent; whatever libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers
