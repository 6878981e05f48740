"""Pairs listed per second by this package's neighbour list and by others, in one run.

    python benchmarks/neighbors.py --peer-python A/bin/python --peer-python B/bin/python > neighbors.md
    python benchmarks/neighbors.py --device cuda --peer-python A/bin/python > neighbors_cuda.md

Peers are looked for in this interpreter and then in those of ``--peer-python``: TorchMD-NET, whose package has the
name of ours, needs an environment of its own. Each library runs in a process of its own; the processes of a row take
turns, so that noise meets all of them, and a row shows medians. Before that, each must find as many pairs as this
package. Random atoms at 0.1 atoms/Å^3, the full list with both directions of each pair; ``neighbor_libraries.py`` says
what exactly each library returns. "list" is ``neighbor_pairs``, "graph" all of ``neighbor_graph``, as a model takes it.
"""

import argparse
import dataclasses
import os
import platform
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from neighbor_cases import Case
from neighbor_libraries import LIBRARIES
from neighbor_race import HERE, ONE_THREAD, History, Process, Row, locate, prepare, run_row

PEERS = [library.name for library in LIBRARIES[1:]]
CUDA_PEERS = ["vesin", "nvalchemi", "TorchMD-NET"]
BYTES_PER_PAIR = 36
"""i, j, distance, three of shift, three of vector, of four bytes each: written once."""
BYTES_PER_ATOM = 12
"""A position: read once."""


def start_team(
    found: dict[str, tuple[str, str]], names: list[str], options: argparse.Namespace, threads: int
) -> list[Process]:
    """This package, the peers, and for several threads this package again on one."""
    limits = {"memory": 0.0 if options.device == "cuda" else options.memory, "patience": options.patience}
    team = [Process(name, found[name][0], threads=threads, **limits) for name in [HERE, *names] if name in found]
    if threads > 1:
        team.append(Process(HERE, found[HERE][0], threads=1, **limits))
    return team


def cpu_cases(options: argparse.Namespace) -> Iterator[Case]:
    """The rows of one number of threads; larger ones after smaller ones of the same kind."""
    for cutoff in options.cutoffs:
        for cell in options.cells:
            for dtype in options.dtypes:
                for num_atoms in options.atoms:
                    yield Case(num_atoms, 1, cell, cutoff, dtype)
        for dtype in options.dtypes:
            yield Case(24, options.molecules, "open", cutoff, dtype)


def line(cells: list[object]) -> str:
    """A row of a table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def speed(row: Row, column: str, notes: set[str]) -> str:
    """Millions of pairs per second, or one word on why there are none."""
    if column in row.seconds:
        return f"{row.case.num_pairs / row.seconds[column] / 1e6:.3g}"
    if column not in row.reasons:
        return ""
    notes.add(f"{column}: {row.reasons[column]}")
    return row.reasons[column].split(":")[0]


def ratio(row: Row, column: str, others: list[str]) -> tuple[float, str] | None:
    """How many times as fast a column is as the fastest of others, and which that is."""
    there = {name: row.seconds[name] for name in others if name in row.seconds}
    if not there or column not in row.seconds:
        return None
    name = min(there, key=there.get)
    return there[name] / row.seconds[column], name


def shown(value: tuple[float, str] | None, *, name: bool = False) -> str:
    """A ratio."""
    if value is None:
        return ""
    return f"{value[0]:.2f} ({value[1]})" if name else f"{value[0]:.2f}"


def cpu_table(found: dict[str, tuple[str, str]], options: argparse.Namespace) -> list[tuple[int, Row]]:
    """Print the rows as they come."""
    names = [name for name in PEERS if name in found]
    columns = ["list", "graph", *names]
    title = ["threads", "atoms", "cell", "cutoff", "dtype", "pairs", *columns]
    title += ["list/fastest", "list/vesin", "graph/fastest", "list/one thread"]
    print("## Millions of pairs per second\n")
    print(line(title), line(["---"] * len(title)), sep="\n", flush=True)
    done: list[tuple[int, Row]] = []
    notes: set[str] = set()
    for threads in options.threads:
        team, history = start_team(found, names, options, threads), History(options.limit)
        for case in cpu_cases(options):
            row = run_row(case, team, history, seconds=options.seconds, turns=options.turns)
            if row is None:
                continue
            done.append((threads, row))
            size = f"{case.num_systems} x {case.num_atoms}" if case.num_systems > 1 else f"{case.num_atoms}"
            cells = [threads, size, case.cell, f"{case.cutoff:g}", case.dtype, row.case.num_pairs]
            cells += [speed(row, column, notes) for column in columns]
            cells += [shown(ratio(row, "list", names), name=True), shown(ratio(row, "list", ["vesin"]))]
            cells += [shown(ratio(row, "graph", names)), shown(ratio(row, "list", [ONE_THREAD]))]
            print(line(cells), flush=True)
        for process in team:
            process.stop()
    print("\nEmpty columns, in the words of the libraries:\n", *(f"- {note}" for note in sorted(notes)), sep="\n")
    return done


def summary(done: list[tuple[int, Row]], found: dict[str, tuple[str, str]]) -> None:
    """Print the least ratio of each kind, and where."""
    names = [name for name in PEERS if name in found]
    large = [(threads, row) for threads, row in done if row.case.num_atoms >= 10_000]
    alone = [row for threads, row in large if threads == 1]
    kinds = {
        "list to the fastest peer, all rows": ([row for _, row in done], "list", names),
        "graph to the fastest peer, all rows": ([row for _, row in done], "graph", names),
        "list to vesin, one thread, 10,000 atoms and more, float32": (
            [row for row in alone if row.case.dtype == "float32"],
            "list",
            ["vesin"],
        ),
        "list to vesin, one thread, 10,000 atoms and more, float64": (
            [row for row in alone if row.case.dtype == "float64"],
            "list",
            ["vesin"],
        ),
        "list on several threads to one, 10,000 atoms and more": ([row for _, row in large], "list", [ONE_THREAD]),
    }
    print("\n## Least ratios\n")
    for kind, (rows, column, others) in kinds.items():
        values = [(value, row.case) for row in rows if (value := ratio(row, column, others))]
        if values:
            (least, name), case = min(values, key=lambda pair: pair[0][0])
            where = f"{case.num_systems} x {case.num_atoms} atoms, {case.cell}, {case.cutoff:g} Å, {case.dtype}"
            print(f"- {kind}: {least:.2f} ({name}; {where})")


def scaling_table(found: dict[str, tuple[str, str]], options: argparse.Namespace) -> None:
    """Print time and memory up to large systems, each size in fresh processes."""
    names = [name for name in (HERE, "vesin") if name in found]
    print(f"\n## Scaling: cubic, {min(options.cutoffs):g} Å, float32\n")
    title = ["threads", "atoms", "pairs"]
    title += [f"{name} {what}" for name in names for what in ("ns a pair", "MB", "bytes a pair")]
    print(line(title), line(["---"] * len(title)), sep="\n", flush=True)
    for threads in options.threads:
        for num_atoms in options.scaling:
            case = Case(num_atoms, 1, "cubic", min(options.cutoffs), "float32")
            cells: list[object] = []
            for name in names:
                process = Process(name, found[name][0], threads=threads, memory=options.memory, patience=60)
                cells += scaling_cells(process, case, "list" if name == HERE else "torch", options)
                process.stop()
            print(line([threads, num_atoms, *cells]), flush=True)


def scaling_cells(process: Process, case: Case, call: str, options: argparse.Namespace) -> list[object]:
    """Nanoseconds a pair, peak memory and that for each pair; with this package, first the number of pairs."""
    answer = prepare(process, case, only=call)
    tried = answer.get("calls", {}).get(call, answer)
    if "why" in tried:
        return ([""] if process.name == HERE else []) + [tried["why"].split(":")[0], "", ""]
    times = process.ask("measure", call=call, seconds=options.seconds).get("times", [])
    peak, pairs = process.ask("peak").get("bytes", 0), tried["pairs"]
    seconds = statistics.median(times) if times else float("nan")
    first = [pairs] if process.name == HERE else []
    return [*first, f"{seconds / pairs * 1e9:.2f}", f"{peak / 1e6:.0f}", f"{peak / pairs:.0f}"]


def cuda_table(found: dict[str, tuple[str, str]], options: argparse.Namespace) -> None:
    """Print speeds on a GPU, with results of exact size and of fixed size, and fractions of its memory bandwidth.

    The fraction is the time that a copy needs for the bytes of the result, and of the positions, over the time taken.
    """
    names = [name for name in CUDA_PEERS if name in found]
    columns = ["list", "graph", *names]
    team, history = start_team(found, names, options, 1), History(options.limit)
    bandwidth = team[0].ask("bandwidth").get("bytes_per_second", float("nan"))
    print(f"## Millions of pairs per second (percent of a copy's {bandwidth / 1e9:.0f} GB/s)\n")
    title = ["atoms", "cutoff", "size", "pairs", *columns, "list/fastest", "calls"]
    print(line(title), line(["---"] * len(title)), sep="\n", flush=True)
    notes: set[str] = set()
    for cutoff in options.cutoffs:
        for num_atoms in options.atoms:
            known = Case(num_atoms, 1, "cubic", cutoff, "float32", device="cuda")
            for fixed in (False, True):
                case = dataclasses.replace(known, fixed=fixed)
                row = run_row(case, team, history, seconds=options.seconds, turns=options.turns)
                if row is None:
                    break
                known = row.case
                size = "fixed" if fixed else "exact"
                cells: list[object] = [num_atoms, f"{cutoff:g}", size, row.case.num_pairs]
                cells += [with_roofline(row, column, bandwidth, notes) for column in columns]
                calls = ", ".join(f"{name} {call}" for name, call in row.calls.items())
                print(line([*cells, shown(ratio(row, "list", names), name=True), calls]), flush=True)
    for process in team:
        process.stop()
    print("\nEmpty columns, in the words of the libraries:\n", *(f"- {note}" for note in sorted(notes)), sep="\n")


def with_roofline(row: Row, column: str, bandwidth: float, notes: set[str]) -> str:
    """Speed and the fraction of the copy bandwidth that the least traffic of the row would take."""
    shown_speed = speed(row, column, notes)
    if column not in row.seconds:
        return shown_speed
    traffic = row.case.num_pairs * BYTES_PER_PAIR + row.case.num_atoms * BYTES_PER_ATOM
    return f"{shown_speed} ({100 * traffic / row.seconds[column] / bandwidth:.1f} %)"


def describe(found: dict[str, tuple[str, str]], options: argparse.Namespace) -> None:
    """Print the machine and the versions."""
    chip = torch.cuda.get_device_name() if options.device == "cuda" else processor()
    versions = ", ".join(f"{name} {version}" for name, (_, version) in found.items())
    print(f"# Neighbour lists\n\n{chip}, torch {torch.__version__}; {versions}.\n")
    print(f"`python benchmarks/neighbors.py {' '.join(options.shown)}`\n")


def processor() -> str:
    """Name of the CPU, as far as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [text for text in cpuinfo.read_text().splitlines() if "model name" in text] if cpuinfo.exists() else []
    return f"{os.cpu_count()} x {names[0].split(':')[1].strip() if names else platform.machine()}"


def read_options() -> argparse.Namespace:
    """The command line; what is not said depends on the device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--peer-python", action="append", default=[], help="interpreter of an environment with peers")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--atoms", type=int, nargs="+", help="default 100 to 100,000, on a GPU to 1,000,000")
    parser.add_argument("--cutoffs", type=float, nargs="+", default=[5.0, 10.0], help="Å")
    parser.add_argument("--cells", nargs="+", choices=("cubic", "triclinic", "open"), default=["cubic", "triclinic"])
    parser.add_argument("--dtypes", nargs="+", choices=("float32", "float64"), default=["float32", "float64"])
    parser.add_argument("--molecules", type=int, default=64, help="molecules of 24 atoms in a batch")
    parser.add_argument("--scaling", type=int, nargs="*", default=[10_000, 100_000, 1_000_000], help="atoms")
    parser.add_argument(
        "--seconds", type=float, default=0.2, help="measured for each entry of a row, all turns together"
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--limit", type=float, default=0.5, help="seconds that a call which cannot win may take")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds after which a process is given up")
    parser.add_argument("--memory", type=float, default=12.0, help="GiB that a CPU process may hold")
    options = parser.parse_args()
    options.atoms = options.atoms or [10**power for power in range(2, 7 if options.device == "cuda" else 6)]
    words = sys.argv[1:]
    options.shown = [
        "PEER/bin/python" if before == "--peer-python" else word
        for before, word in zip(["", *words[:-1]], words, strict=True)
    ]
    return options


def main() -> None:
    """Print all tables of a device as markdown."""
    options = read_options()
    found = locate([sys.executable, *options.peer_python])
    describe(found, options)
    if options.device == "cuda":
        cuda_table(found, options)
        return
    done = cpu_table(found, options)
    summary(done, found)
    if options.scaling:
        scaling_table(found, options)


if __name__ == "__main__":
    main()
