"""Time and memory of energy and forces: radial tables, exact path and TorchMD-NET, with the same weights.

Tables are measured twice: as they are, and as TorchScript of the same model, which leaves out Python's work of a call.

    python benchmarks/inference.py --peer-python PEER/bin/python > benchmarks/results/inference.md
    python benchmarks/inference.py --systems 24 166 --models TensorNet --threads 1      # a look, in a minute

Each entry of a row has a process of its own; the processes of a row take turns, so that noise meets all of them, and a
row shows medians. What does not run within ``--memory`` and ``--patience`` is left out, with its reason below the
table. Differences are the largest of an array, relative to its largest entry.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from inference_cases import MODELS, SYSTEMS
from inference_cost import COUNTS, cost
from inference_worker import KINDS
from neighbor_race import Process, environment
from neighbors import line, processor

IMPORT = (
    "import json, time; a = time.perf_counter(); import torch; b = time.perf_counter(); "
    "import torchmdnet.models.model; print(json.dumps([b - a, time.perf_counter() - b]))"
)
TITLES = {"tables": "tables", "scripted": "scripted", "exact": "exact", "peer": "TorchMD-NET"}
ONE_THREAD = "one thread"


class Entry(NamedTuple):
    """What one way to run a model took on one system."""

    seconds: float
    """Median."""
    first: float
    """The first call of a process, in seconds."""
    building: float
    """Seconds to make tables."""
    peak: float
    """Bytes."""


class Row(NamedTuple):
    """A model on a system."""

    model: str
    system: str
    threads: int
    entries: dict[str, Entry]
    reasons: dict[str, str]
    differences: dict[str, tuple[float, float]]
    """Of energies and forces to those of the tables, by what is compared."""
    edges: int
    machine: dict[str, float]

    @property
    def num_atoms(self) -> int:
        """All systems together."""
        sizes = [int(word) for word in self.system.split("x")]
        return int(np.prod(sizes))


class Contestant(Process):
    """A worker of this benchmark."""

    def __init__(
        self, kind: str, row: tuple[str, str], weights: str, *, threads: int, options: argparse.Namespace
    ) -> None:
        python = options.peer_python if kind == "peer" else sys.executable
        super().__init__(kind, python, threads=threads, memory=options.memory, patience=options.patience)
        script = str(Path(__file__).with_name("inference_worker.py"))
        words = ["--model", row[0], "--system", row[1], "--threads", str(threads), "--memory", str(options.memory)]
        self.command = [python, script, kind, *words, "--weights", weights]


def run_row(row: tuple[str, str], threads: int, options: argparse.Namespace) -> Row:
    """Prepare all, then measure all in turns."""
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "weights.pt")
        field = {
            kind: Contestant(kind, row, weights, threads=threads, options=options)
            for kind in KINDS
            if kind in options.kinds
        }
        if threads > 1 and "tables" in field:
            field[ONE_THREAD] = Contestant("tables", row, weights, threads=1, options=options)
        try:
            return _race(row, threads, field, Path(folder), options)
        finally:
            for contestant in field.values():
                contestant.stop()


def _race(
    row: tuple[str, str], threads: int, field: dict[str, Contestant], folder: Path, options: argparse.Namespace
) -> Row:
    answers: dict[str, dict[str, Any]] = {}
    times: dict[str, list[float]] = {}
    for name, contestant in field.items():
        answers[name] = contestant.ask("prepare", result=str(folder / f"{name}.npz"))
        if "why" in answers[name]:
            contestant.stop()
        else:
            times[name] = []
    for _ in range(options.turns):
        for name in times:
            times[name] += field[name].ask("measure", seconds=options.seconds / options.turns).get("times", [])
    ours = next((field[name] for name in ("tables", "exact") if name in times), None)
    entries = {
        name: Entry(
            statistics.median(values),
            answers[name]["first"],
            answers[name].get("building", 0.0),
            field[name].ask("peak").get("bytes", float("nan")),
        )
        for name, values in times.items()
        if values
    }
    return Row(
        *row,
        threads,
        entries,
        {name: answer["why"] for name, answer in answers.items() if "why" in answer},
        differences(folder),
        ours.ask("edges").get("edges", 0) if ours else 0,
        ours.ask("machine") if ours else {},
    )


def differences(folder: Path) -> dict[str, tuple[float, float]]:
    """Of energies and forces to those of the tables, or to the exact ones where there are no tables."""
    found = {path.stem: np.load(path) for path in folder.glob("*.npz") if path.stem in KINDS}
    first = next((name for name in KINDS if name in found), "")
    return {
        f"{TITLES[first]} - {TITLES[name]}": (
            relative(found[first]["energy"], found[name]["energy"]),
            relative(found[first]["forces"], found[name]["forces"]),
        )
        for name in KINDS
        if name in found and name != first
    }


def relative(values: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest entry."""
    return float(np.abs(values - expected).max() / np.abs(expected).max())


def run_all(options: argparse.Namespace) -> Iterator[Row]:
    """All rows."""
    for model in options.models:
        for threads in options.threads:
            for system in options.systems:
                yield run_row((model, system), threads, options)


def milliseconds(row: Row, kind: str) -> str:
    """A time, or one word on why there is none."""
    if kind in row.entries:
        return f"{1e3 * row.entries[kind].seconds:.4g}"
    return row.reasons.get(kind, "").split(":")[0]


def ratio(row: Row, slow: str, fast: str) -> str:
    """How many times as long ``slow`` takes."""
    if slow not in row.entries or fast not in row.entries:
        return ""
    return f"{row.entries[slow].seconds / row.entries[fast].seconds:.2f}"


def megabytes(row: Row, kind: str) -> str:
    """Peak memory."""
    return f"{row.entries[kind].peak / 1e6:.0f}" if kind in row.entries else ""


def times_table(options: argparse.Namespace) -> list[Row]:
    """Print rows as they come."""
    kinds = [kind for kind in KINDS if kind in options.kinds]
    title = ["model", "threads", "atoms", *(f"{TITLES[kind]} ms" for kind in kinds)]
    title += [
        "TorchMD-NET/tables",
        "TorchMD-NET/scripted",
        "TorchMD-NET/exact",
        "one thread/threads",
        *(f"{TITLES[kind]} MB" for kind in kinds),
    ]
    print("## Energy and forces\n")
    print(line(title), line(["---"] * len(title)), sep="\n", flush=True)
    rows: list[Row] = []
    for row in run_all(options):
        cells = [row.model, row.threads, row.system.replace("x", " x "), *(milliseconds(row, kind) for kind in kinds)]
        cells += [
            *(ratio(row, "peer", kind) for kind in ("tables", "scripted", "exact")),
            ratio(row, ONE_THREAD, "tables"),
        ]
        print(line([*cells, *(megabytes(row, kind) for kind in kinds)]), flush=True)
        rows.append(row)
    return rows


def details_table(rows: list[Row]) -> None:
    """Print reasons, differences and first calls."""
    notes = {
        f"{row.model}, {row.system} atoms, {row.threads} threads, {TITLES.get(kind, kind)}: {why}"
        for row in rows
        for kind, why in row.reasons.items()
    }
    if notes:
        print("\nEmpty columns, in the words of the libraries:\n", *(f"- {note}" for note in sorted(notes)), sep="\n")
    print("\n## Differences, and the first call of a process\n")
    title = ["model", "threads", "atoms", "compared", "energies", "forces"]
    title += ["s for tables", *(f"s {TITLES[kind]}, first call" for kind in KINDS)]
    print(line(title), line(["---"] * len(title)), sep="\n")
    for row in rows:
        first = [f"{row.entries[kind].first:.2f}" if kind in row.entries else "" for kind in KINDS]
        building = f"{row.entries['tables'].building:.2f}" if "tables" in row.entries else ""
        for compared, (energy, forces) in (row.differences or {"": (np.nan, np.nan)}).items():
            cells: list[object] = [row.model, row.threads, row.system, compared, f"{energy:.1e}", f"{forces:.1e}"]
            print(line([*cells, building, *first]))


def roofline_table(rows: list[Row]) -> None:
    """Print what tables reach of what the processor does, by the counts of ``inference_cost.py``."""
    print("\n## Cost of the tables' path, and what it reaches\n")
    print("Peaks of the same process, after the row: a product of matrices, and a = b + 2 c in memory.\n")
    title = ["model", "threads", "atoms", "edges/atom", "µs/atom", "kflop/atom", "kB/atom", "kB/atom of edges"]
    title += ["GFLOP/s", "peak", "% of it", "GB/s", "peak", "% of it", "GB/s of edges"]
    print(line(title), line(["---"] * len(title)), sep="\n")
    for row in rows:
        if "tables" not in row.entries or not row.edges or "flops" not in row.machine:
            continue
        if MODELS[row.model]["model"] not in COUNTS:
            continue
        each = cost(MODELS[row.model], row.edges / row.num_atoms)
        seconds = row.entries["tables"].seconds / row.num_atoms
        flops, bandwidth = row.machine["flops"], row.machine["bandwidth"]
        cells: list[object] = [row.model, row.threads, row.system, f"{row.edges / row.num_atoms:.1f}"]
        cells += [f"{1e6 * seconds:.4g}", *(f"{value / 1e3:.0f}" for value in each)]
        cells += [
            f"{each.flops / seconds / 1e9:.1f}",
            f"{flops / 1e9:.0f}",
            f"{100 * each.flops / seconds / flops:.0f}",
        ]
        cells += [f"{each.traffic / seconds / 1e9:.1f}", f"{bandwidth / 1e9:.1f}"]
        cells += [f"{100 * each.traffic / seconds / bandwidth:.0f}", f"{each.gathered / seconds / 1e9:.1f}"]
        print(line(cells))


def import_table(options: argparse.Namespace) -> None:
    """Print the median of three imports."""
    print("\n## Import, in seconds\n")
    print(line(["package", "torch", "the package beside it"]), line(["---"] * 3), sep="\n")
    for name, python in (("torchmdnet", sys.executable), (TITLES["peer"], options.peer_python)):
        if not python:
            continue
        found = []
        for _ in range(3):
            # Not in the working directory, where our sources would stand in for any package of their name.
            output = subprocess.run(
                [python, "-c", IMPORT],
                capture_output=True,
                text=True,
                check=True,
                env=environment(python, 1),
                cwd=Path(__file__).parent,
            )
            found.append(json.loads(output.stdout.splitlines()[-1]))
        print(line([name, *(f"{statistics.median(values):.2f}" for values in zip(*found, strict=True))]))


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="interpreter of an environment with TorchMD-NET")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), help="atoms, or SYSTEMSxATOMS; also 100000")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="measured for each entry of a row, all turns together"
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--patience", type=float, default=300.0, help="seconds after which an answer is given up")
    parser.add_argument("--memory", type=float, default=14.0, help="GiB that a process may hold")
    options = parser.parse_args()
    if not options.peer_python:
        options.kinds = [kind for kind in options.kinds if kind != "peer"]
    return options


def main() -> None:
    """Print all tables as markdown."""
    options = read_options()
    words = sys.argv[1:]
    shown = ["PEER/bin/python" if word == options.peer_python else word for word in words]
    print(f"# Energy and forces on a CPU\n\n{processor()}, torch {torch.__version__}, float32.\n")
    print(f"`{' '.join(['python benchmarks/inference.py', *shown])}`\n")
    rows = times_table(options)
    details_table(rows)
    roofline_table(rows)
    import_table(options)


if __name__ == "__main__":
    main()
