"""The race behind ``neighbors.py``: processes that hold one library each, and rows in which they take turns."""

import dataclasses
import json
import os
import select
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from neighbor_cases import Case
from neighbor_libraries import LIBRARIES

PROBE = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
HERE = LIBRARIES[0].name
ONE_THREAD = "one thread"
FAR = 2.0
TELLING = 1000
"""Atoms below which a time is mostly overhead and says nothing about larger cases."""


def environment(python: str, threads: int) -> dict[str, str]:
    """Of a worker: its threads, and for other interpreters no path to this package."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH" or python == sys.executable}
    return kept | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


def locate(pythons: list[str]) -> dict[str, tuple[str, str]]:
    """Interpreter and version of each library that is installed somewhere."""
    found: dict[str, tuple[str, str]] = {}
    for python in pythons:
        output = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, check=True).stdout
        versions = {name.lower().replace("_", "-"): number for name, number in json.loads(output).items()}
        for library in LIBRARIES:
            number = versions.get(library.distribution.replace("_", "-"))
            if number and library.name not in found:
                found[library.name] = (python, number)
    return found


class Process:
    """A worker; one that dies or hangs is started anew for the next case."""

    def __init__(self, name: str, python: str, *, threads: int, memory: float, patience: float) -> None:
        script = str(Path(__file__).with_name("neighbor_worker.py"))
        self.name = name
        self.patience = patience
        self.command = [python, script, name, "--threads", str(threads), "--memory", str(memory)]
        self.environment = environment(python, threads)
        self.process: subprocess.Popen[str] | None = None

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """The answer, or why there is none."""
        if self.process is None:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            hello = self._answer()
            if "version" not in hello:
                self.stop()
                return {"why": hello.get("missing", hello.get("why", ""))}
        try:
            self.process.stdin.write(json.dumps({"do": do, **order}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.stop()
            return {"why": "process ended"}
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        ready, _, _ = select.select([self.process.stdout], [], [], self.patience)
        line = self.process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self.stop()
        return {"why": "process ended" if ready else f"slow: nothing after {self.patience:.0f} s"}

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.process = None


class Contestant(NamedTuple):
    """A call that takes part in a row."""

    process: Process
    call: str


class Row(NamedTuple):
    """What a row found."""

    case: Case
    seconds: dict[str, float]
    """Median of each column."""
    calls: dict[str, str]
    """Which call of a peer was the fastest."""
    reasons: dict[str, str]
    """Why a column is empty."""


class History:
    """Times of smaller cases, by which a larger one is known to take too long.

    A peer's call that was more than ``FAR`` times as slow as the row's fastest, and would take more than ``limit``
    seconds, is not run: it cannot win.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.last: dict[tuple[Any, ...], tuple[int, float, int]] = {}

    def hopeless(self, process: Process, case: Case) -> list[str]:
        """Calls of a process that are not to be run."""
        found = []
        for (name, call, *kind), (num_atoms, seconds, order) in self.last.items():
            expected = seconds * max(1.0, case.num_atoms / num_atoms) ** order
            if name == process.name and kind == self._kind(case) and expected > self.limit:
                found.append(call)
        return found

    def note(self, process: Process, case: Case, tried: dict[str, dict[str, Any]], *, fastest: float) -> None:
        """Remember the calls that were far behind, or failed for memory: they will do so again."""
        for call, found in tried.items():
            key = (process.name, call, *self._kind(case))
            no_memory = any(word in found.get("why", "").lower() for word in ("memory", "allocate"))
            telling = case.num_atoms >= TELLING
            seconds = float("inf") if no_memory else found.get("seconds", 0.0) if telling else 0.0
            self.last.pop(key, None)
            if seconds > FAR * fastest:
                self.last[key] = (case.num_atoms, seconds, found["order"])

    @staticmethod
    def _kind(case: Case) -> list[Any]:
        return [case.num_systems, case.cell, case.cutoff, case.dtype, case.fixed]


def prepare(process: Process, case: Case, **order: Any) -> dict[str, Any]:
    """Make a process ready for a case."""
    return process.ask(
        "prepare", case=dataclasses.asdict(case), **({"only": None, "skip": [], "fastest": False} | order)
    )


def prepare_peers(
    peers: list[Process], case: Case, history: History
) -> tuple[dict[str, tuple[Contestant, float]], dict[str, str]]:
    """The fastest call of each peer with the seconds of its first runs; and why others have none."""
    ready: dict[str, tuple[Contestant, float]] = {}
    reasons: dict[str, str] = {}
    answers = {}
    for process in peers:
        skip = history.hopeless(process, case)
        answer = answers[process.name] = prepare(process, case, skip=skip, fastest=True)
        tried = answer.get("calls", {})
        if best := answer.get("fastest"):
            ready[process.name] = Contestant(process, best), tried[best]["seconds"]
        else:
            whys = [answer["why"]] if "why" in answer else [found["why"] for found in tried.values()]
            reasons[process.name] = f"slow: would take over {history.limit:g} s" if skip else whys[0]
    fastest = min((seconds for _, seconds in ready.values()), default=float("inf"))
    for process in peers:
        history.note(process, case, answers[process.name].get("calls", {}), fastest=fastest)
    return ready, reasons


def run_row(case: Case, team: list[Process], history: History, *, seconds: float, turns: int) -> Row | None:
    """Prepare all, then measure all in turns. ``team`` begins with this package; another of it has one thread."""
    here, *others = team
    tried = prepare(here, case).get("calls", {})
    ours = {call: found for call, found in tried.items() if "seconds" in found}
    reasons = {call: found["why"] for call, found in tried.items() if "why" in found}
    if not ours:
        print(f"{case}: {reasons or 'no answer'}", file=sys.stderr)
        return None
    main, first = next(iter(ours.items()))
    case = dataclasses.replace(case, num_pairs=first["pairs"], most=first["most"] or case.most)
    ready, whys = prepare_peers([process for process in others if process.name != HERE], case, history)
    calls = {name: contestant.call for name, (contestant, _) in ready.items()}
    field = {call: Contestant(here, call) for call in ours}
    field |= {name: contestant for name, (contestant, _) in ready.items()}
    for process in others:
        if process.name == HERE and "calls" in prepare(process, case, only=main):
            field[ONE_THREAD] = Contestant(process, main)
    return Row(case, race(field, seconds=seconds, turns=turns), calls, reasons | whys)


def race(field: dict[str, Contestant], *, seconds: float, turns: int) -> dict[str, float]:
    """Median seconds of each column; the calls take turns, those far behind the fastest and slow fewer of them."""
    times: dict[str, list[float]] = {column: [] for column in field}
    for turn in range(turns):
        least = min((statistics.median(values) for values in times.values() if values), default=float("inf"))
        for column, (process, call) in field.items():
            spent = sum(times[column])
            if spent > seconds and (turn > 1 or statistics.median(times[column]) > FAR * least):
                continue
            times[column] += process.ask("measure", call=call, seconds=seconds / turns).get("times", [])
    return {column: statistics.median(values) for column, values in times.items() if values}
