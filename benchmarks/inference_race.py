"""The race behind ``inference.py``: a process for each way to run a model, and rows in which they take turns."""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from inference_ways import WAYS
from neighbor_race import Process, throughput_of_two

ONE_THREAD, TWIN = "one thread", "another on one thread"
NO_MEMORY = ("out of memory", "outofmemory", "can't allocate memory")


class Entry(NamedTuple):
    """What one way to run a model took on one system."""

    seconds: float
    """Median."""
    first: float
    """The first call that counts, in seconds."""
    building: float
    """Seconds to make tables."""
    ready: float
    """Seconds to make the model and all that comes before that call: tables, compilation, recording."""
    peak: float
    """Bytes."""
    activities: dict[str, int]
    """Of a call on a GPU."""


class Row(NamedTuple):
    """A model on a system."""

    model: str
    system: str
    threads: int
    entries: dict[str, Entry]
    reasons: dict[str, str]
    differences: dict[str, tuple[float, float]]
    """Of energies and forces to those of the first way, by what is compared."""
    edges: int
    machine: dict[str, float]
    together: float | None = None
    """Calls a second of two processes of one thread at the same time, over those of one alone."""
    place: str = ""
    """Machine and PyTorch."""
    versions: tuple[str, ...] = ()
    """Of the packages."""

    @property
    def num_atoms(self) -> int:
        """All systems together."""
        sizes = [int(word) for word in self.system.split("x")]
        return int(np.prod(sizes))

    @property
    def key(self) -> tuple[str, str, int]:
        """What was asked for."""
        return self.model, self.system, self.threads

    def to_json(self) -> str:
        """One line."""
        entries = {name: entry._asdict() for name, entry in self.entries.items()}
        return json.dumps(self._asdict() | {"entries": entries})

    @staticmethod
    def from_json(line: str) -> "Row":
        """The row of a line."""
        found = json.loads(line)
        found["entries"] = {name: Entry(**entry) for name, entry in found["entries"].items()}
        found["differences"] = {name: tuple(pair) for name, pair in found["differences"].items()}
        return Row(**found | {"versions": tuple(found["versions"])})


class Contestant(Process):
    """A worker of this benchmark."""

    def __init__(self, kind: str, *, threads: int, options: argparse.Namespace) -> None:
        python = options.peer_python if WAYS[kind].distribution != "torchmdnet" else sys.executable
        # A limit on memory is one on addresses, of which CUDA reserves more than there is memory.
        memory = 0.0 if options.device == "cuda" else options.memory
        super().__init__(kind, python, threads=threads, memory=memory, patience=options.patience)
        script = str(Path(__file__).with_name("inference_worker.py"))
        words = ["--device", options.device, "--threads", str(threads), "--memory", str(memory)]
        self.command = [python, script, kind, *words]
        self.has_activities = options.device == "cuda"
        self.deadline = options.deadline


def make_field(threads: int, options: argparse.Namespace) -> dict[str, Contestant]:
    """A process for each way, and for several threads two of the first one on one thread."""
    field = {kind: Contestant(kind, threads=threads, options=options) for kind in WAYS if kind in options.kinds}
    if threads > 1 and "tables" in field:
        for name in (ONE_THREAD, TWIN):
            field[name] = Contestant("tables", threads=1, options=options)
    return field


def stop_all(field: Iterable[Process]) -> None:
    """End the processes."""
    for process in field:
        process.stop()


def run_row(row: tuple[str, str], threads: int, field: dict[str, Contestant], options: argparse.Namespace) -> Row:
    """Prepare all, then measure all in turns; those that had no memory beside the others again, alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        answers = prepare_all(row, field, folder, at_once=options.at_once)
        times: dict[str, list[float]] = {name: [] for name, answer in answers.items() if "why" not in answer}
        for _ in range(options.turns):
            for name in [name for name in times if name != TWIN]:
                times[name] += measure(field[name], answers[name], options.seconds / options.turns)
        together = measure_together(field, times, options)
        works = [name for name, values in times.items() if values and "why" not in answers[name]]
        ours = next((field[name] for name in works if WAYS[field[name].name].distribution == "torchmdnet"), None)
        edges = ours.ask("edges").get("edges", 0) if ours else 0
        entries = {name: make_entry(field[name], answers[name], times[name]) for name in works}
        machine = ours.ask("machine") if ours else {}
        for name in [name for name in field if options.at_once and lacks_memory(answers[name])]:
            stop_all(field.values())
            answers[name] = field[name].ask("prepare", **order(row, name, folder))
            if values := measure(field[name], answers[name], options.seconds):
                entries[name] = make_entry(field[name], answers[name], values)
        reasons = {name: answer["why"] for name, answer in answers.items() if "why" in answer}
        for name in reasons:
            field[name].stop()
        versions = {f"{WAYS[each.name].distribution} {each.version}" for each in field.values() if each.version}
        return Row(
            *row,
            threads,
            entries,
            reasons,
            differences(folder),
            edges,
            machine,
            together,
            versions=tuple(sorted(versions)),
        )


def order(row: tuple[str, str], name: str, folder: Path) -> dict[str, str]:
    """What a process is asked to prepare, and where it leaves its numbers."""
    model, system = row
    return {
        "model": model,
        "system": system,
        "weights": str(folder / "weights.pt"),
        "result": str(folder / f"{name}.npz"),
    }


def prepare_all(
    row: tuple[str, str], field: dict[str, Contestant], folder: Path, *, at_once: bool
) -> dict[str, dict[str, Any]]:
    """Answers of all processes. The first leaves weights; after it the others may prepare at the same time."""
    answers: dict[str, dict[str, Any]] = {}
    waiting: list[str] = []
    if at_once:
        for contestant in field.values():
            contestant.start()
    for name, contestant in field.items():
        contestant.tell("prepare", **order(row, name, folder))
        waiting.append(name)
        if at_once and (folder / "weights.pt").exists():
            continue
        for told in waiting:
            answers[told] = field[told].hear()
        waiting.clear()
        if "why" in answers[name]:
            contestant.stop()
    for told in waiting:
        answers[told] = field[told].hear()
        if "why" in answers[told]:
            field[told].stop()
    return answers


def measure(contestant: Contestant, answer: dict[str, Any], seconds: float) -> list[float]:
    """Times; none once it has failed, which the answer to its preparation then tells."""
    if "why" in answer:
        return []
    found = contestant.ask("measure", seconds=seconds)
    if "why" in found:
        answer["why"] = found["why"]
        contestant.stop()
    return list(found.get("times", []))


def measure_together(
    field: dict[str, Contestant], times: dict[str, list[float]], options: argparse.Namespace
) -> float | None:
    """What two processes of one thread do at the same time, over what one does alone."""
    if not times.get(ONE_THREAD) or TWIN not in times:
        return None
    pair = [field[name] for name in (ONE_THREAD, TWIN)]
    return throughput_of_two(pair, statistics.median(times[ONE_THREAD]), seconds=options.seconds)


def make_entry(contestant: Contestant, answer: dict[str, Any], times: list[float]) -> Entry:
    """The numbers of one process."""
    found = contestant.ask("activities") if contestant.has_activities else {}
    return Entry(
        seconds=statistics.median(times),
        first=answer["first"],
        building=answer["building"],
        ready=answer["ready"],
        peak=contestant.ask("peak").get("bytes", float("nan")),
        activities={name: number for name, number in found.items() if name != "why"},
    )


def lacks_memory(answer: dict[str, Any]) -> bool:
    """Whether a process failed for want of memory."""
    return any(words in answer.get("why", "").lower() for words in NO_MEMORY)


def differences(folder: Path) -> dict[str, tuple[float, float]]:
    """Of energies and forces to those of the first way that has any."""
    found = {path.stem: np.load(path) for path in folder.glob("*.npz") if path.stem in WAYS}
    first = next((name for name in WAYS if name in found), "")
    return {
        f"{WAYS[first].title} - {WAYS[name].title}": (
            relative(found[first]["energy"], found[name]["energy"]),
            relative(found[first]["forces"], found[name]["forces"]),
        )
        for name in WAYS
        if name in found and name != first
    }


def relative(values: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest entry."""
    return float(np.abs(values - expected).max() / np.abs(expected).max())


def done_before(path: Path | None) -> list[Row]:
    """Rows of a file of records."""
    if path is None or not path.exists():
        return []
    return [Row.from_json(line) for line in path.read_text().splitlines() if line.strip()]
