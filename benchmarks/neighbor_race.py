"""The race behind ``neighbors.py``: processes that hold one library each, and rows in which they take turns."""

import contextlib
import dataclasses
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from neighbor_cases import Case
from neighbor_libraries import LIBRARIES
from report import Deadline

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
    """A worker; one that dies or hangs is started anew for the next order."""

    def __init__(self, name: str, python: str, *, threads: int, memory: float, patience: float) -> None:
        script = str(Path(__file__).with_name("neighbor_worker.py"))
        self.name = name
        self.patience = patience
        self.deadline = Deadline(0)
        self.command = [python, script, name, "--threads", str(threads), "--memory", str(memory)]
        self.environment = environment(python, threads)
        self.process: subprocess.Popen[str] | None = None
        self.version = ""
        self._is_new = False
        self._why = ""
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """The answer, or why there is none."""
        self.tell(do, **order)
        return self.hear()

    def tell(self, do: str, **order: Any) -> None:
        """Give an order, and do not wait: several processes may work at the same time. Then ``hear``."""
        self._why = ""
        self.start()
        try:
            self.process.stdin.write(json.dumps({"do": do, **order}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self._why = "process ended"

    def hear(self) -> dict[str, Any]:
        """The answer to what was told, or why there is none."""
        if self._is_new:
            hello = self._answer()
            self._is_new = False
            if "version" not in hello:
                self.stop()
                return {"why": hello.get("missing", hello.get("why", ""))}
            self.version = hello["version"]
        if self._why:
            self.stop()
            return {"why": self._why}
        return self._answer()

    def start(self) -> None:
        """Begin to import, unless it has been done: before the first order there is no need to wait for that."""
        if self.process is not None:
            return
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._is_new = True
        self._lines = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(self.process.stdout, self._lines), daemon=True).start()

    def _answer(self) -> dict[str, Any]:
        patience = min(self.patience, self.deadline.left())
        try:
            line = self._lines.get(timeout=patience)
        except queue.Empty:
            self.stop()
            return {"why": f"slow: nothing after {patience:.0f} s"}
        if line:
            return json.loads(line)
        self.stop()
        return {"why": "process ended"}

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            with contextlib.suppress(BrokenPipeError):  # an order that it did not read
                self.process.stdin.close()
        self.process = None
        self._is_new = False


def _listen(stream: TextIO, lines: "queue.SimpleQueue[str]") -> None:
    """Pass on what a worker says, and that it has ended."""
    with stream:
        for line in stream:
            lines.put(line)
    lines.put("")


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
    together: float | None = None
    """Lists a second of two processes of one thread at the same time, over those of one alone."""


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
    """Make a process ready for a case; a new one without the calls that have left a GPU unusable."""
    asked = {"only": None, "skip": [], "fastest": False} | order
    answer = process.ask("prepare", case=dataclasses.asdict(case), **asked)
    if not answer.get("broken"):
        return answer
    process.stop()
    failed = {call: found["why"] for call, found in answer["calls"].items() if "why" in found}
    if not failed or len(failed) == len(answer["calls"]):
        return {"why": next(iter(failed.values()), "broken: the GPU does not answer any more")}
    return prepare(process, case, **asked | {"skip": [*asked["skip"], *failed]})


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


def run_row(case: Case, team: list[Process], history: History, *, seconds: float, turns: int) -> Row:
    """Prepare all, then measure all in turns. ``team`` begins with this package; others of it have one thread."""
    here, *others = team
    answer = prepare(here, case)
    tried = answer.get("calls", {})
    ours = {call: found for call, found in tried.items() if "seconds" in found}
    reasons = {call: found["why"] for call, found in tried.items() if "why" in found}
    if not ours:
        return Row(case, {}, {}, reasons or {"list": answer.get("why", "no answer")})
    main, first = next(iter(ours.items()))
    case = dataclasses.replace(case, num_pairs=first["pairs"], most=first["most"] or case.most)
    ready, whys = prepare_peers([process for process in others if process.name != HERE], case, history)
    calls = {name: contestant.call for name, (contestant, _) in ready.items()}
    field = {call: Contestant(here, call) for call in ours}
    field |= {name: contestant for name, (contestant, _) in ready.items()}
    alone = [process for process in others if process.name == HERE and "calls" in prepare(process, case, only=main)]
    if alone:
        field[ONE_THREAD] = Contestant(alone[0], main)
    medians = race(field, seconds=seconds, turns=turns)
    together = None
    if len(alone) > 1 and ONE_THREAD in medians:
        together = throughput_of_two(alone, medians[ONE_THREAD], call=main, seconds=seconds)
    return Row(case, medians, calls, reasons | whys, together)


def throughput_of_two(pair: Sequence[Process], alone: float, **order: Any) -> float | None:
    """Calls a second of two processes at the same time, over those of one alone, which takes ``alone`` seconds."""
    for process in pair:
        process.tell("measure", **order)
    found = [process.hear().get("times", []) for process in pair]
    if not all(found):
        return None
    return sum(alone / statistics.median(times) for times in found)


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
