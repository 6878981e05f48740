"""Pairs listed per second by this package's neighbour list and by others, in one run.

    python benchmarks/neighbors.py --peer-python A/bin/python --peer-python B/bin/python > neighbors.md
    python benchmarks/neighbors.py --device cuda --peer-python A/bin/python --budget 540
    python benchmarks/neighbors.py --device cuda --rehearse --atoms 1000        # without a GPU

Peers are looked for in this interpreter and then in those of ``--peer-python``: TorchMD-NET, whose package has the
name of ours, needs an environment of its own. Each library runs in a process of its own; the processes of a row take
turns, so that noise meets all of them, and a row shows medians. Before that, each must find as many pairs as this
package. Random atoms at 0.1 atoms/Å^3, the full list with both directions of each pair; ``neighbor_libraries.py`` says
what exactly each library returns. "list" is ``neighbor_pairs``, "graph" all of ``neighbor_graph``, as a model takes it.
The file of ``--output`` is written anew after each row. ``--rehearse`` runs the GPU's benchmark on the CPU: its code,
not its numbers.
"""

import argparse
import dataclasses
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from devices import Cuda
from neighbor_cases import Case
from neighbor_race import HERE, History, Process, Row, locate, prepare, run_row
from neighbor_tables import Done, cpu_report, cuda_table, peers, reasons, scaling_table
from report import Deadline, Report, command, processor

CUDA_OUTPUT = Path(__file__).with_name("results") / "neighbors_cuda.md"
Found = dict[str, tuple[str, str]]
"""Interpreter and version of each library."""


def start_team(found: Found, options: argparse.Namespace, threads: int) -> list[Process]:
    """This package, the peers, and for several threads two of this package on one."""
    memory = 0.0 if options.device == "cuda" else options.memory

    def process(name: str, threads: int) -> Process:
        made = Process(name, found[name][0], threads=threads, memory=memory, patience=options.patience)
        made.deadline = options.deadline
        return made

    team = [process(name, threads) for name in [HERE, *peers(found, device=options.kind)]]
    return team + ([process(HERE, 1) for _ in range(2)] if threads > 1 else [])


def stop_team(team: list[Process]) -> None:
    """End the processes."""
    for process in team:
        process.stop()


def cpu_cases(options: argparse.Namespace) -> Iterator[Case]:
    """The rows of one number of threads; larger ones after smaller ones of the same kind."""
    for cutoff in options.cutoffs:
        for cell in options.cells:
            for dtype in options.dtypes:
                for num_atoms in options.atoms:
                    yield Case(num_atoms, 1, cell, cutoff, dtype)
        for dtype in options.dtypes:
            yield Case(24, options.molecules, "open", cutoff, dtype)


def cpu_rows(found: Found, options: argparse.Namespace) -> Iterator[tuple[int, Row]]:
    """Rows as they come, until the time is over."""
    for threads in options.threads:
        team, history = start_team(found, options, threads), History(options.limit)
        for case in cpu_cases(options):
            row = run_row(case, team, history, seconds=options.seconds, turns=options.turns)
            if options.deadline.is_over:
                break
            yield threads, row
        stop_team(team)


def cuda_rows(team: list[Process], options: argparse.Namespace) -> Iterator[Row]:
    """Rows as they come, until the time is over; a fixed size follows from the pairs of the exact one."""
    history = History(options.limit)
    for cutoff in options.cutoffs:
        for dtype in options.dtypes:
            for num_atoms in options.atoms:
                known = Case(num_atoms, 1, "cubic", cutoff, dtype, device=options.device)
                for fixed in (False, True):
                    case = dataclasses.replace(known, fixed=fixed)
                    row = run_row(case, team, history, seconds=options.seconds, turns=options.turns)
                    if options.deadline.is_over:
                        return
                    yield row
                    known = row.case
                    if not known.num_pairs:
                        break


def run_cpu(found: Found, options: argparse.Namespace, report: Report) -> None:
    """All tables of a CPU."""
    names, done = peers(found, device="cpu"), Done()
    head = describe(found, options)
    for threads, row in cpu_rows(found, options):
        done.append((threads, row))
        report.write([*head, *cpu_report(done, names)])
        tell(row)
    scaled: list[list[object]] = []
    there = [name for name in (HERE, "vesin") if name in found]
    for cells in scaling_rows(found, there, options):
        scaled.append(cells)
        report.write([*head, *cpu_report(done, names), scaling_table(scaled, there, min(options.cutoffs))])
    report.close()


def run_cuda(found: Found, options: argparse.Namespace, report: Report) -> None:
    """The table of a GPU, which a rehearsal fills on the CPU."""
    names, rows = peers(found, device="cuda"), list[Row]()
    team = start_team(found, options, 1)
    bandwidth = team[0].ask("bandwidth", device=options.device).get("bytes_per_second", float("nan"))
    head = describe(found, options)
    report.write([*head, cuda_table(rows, names, bandwidth=bandwidth)])
    for row in cuda_rows(team, options):
        rows.append(row)
        report.write([*head, cuda_table(rows, names, bandwidth=bandwidth), reasons([(1, row) for row in rows])])
        tell(row)
    stop_team(team)
    report.close()


def tell(row: Row) -> None:
    """Say on stderr that there is progress."""
    times = ", ".join(f"{column} {1e3 * seconds:.4g} ms" for column, seconds in row.seconds.items())
    print(f"{row.case}: {times or row.reasons}", file=sys.stderr, flush=True)


def scaling_rows(found: Found, names: list[str], options: argparse.Namespace) -> Iterator[list[object]]:
    """Time and memory up to large systems, each size in fresh processes."""
    for threads in options.threads:
        for num_atoms in options.scaling:
            if options.deadline.is_over:
                return
            case = Case(num_atoms, 1, "cubic", min(options.cutoffs), "float32")
            cells: list[object] = []
            for name in names:
                process = Process(name, found[name][0], threads=threads, memory=options.memory, patience=60)
                cells += scaling_cells(process, case, "list" if name == HERE else "torch", options)
                process.stop()
            yield [threads, num_atoms, *cells]


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


def describe(found: Found, options: argparse.Namespace) -> list[str]:
    """The machine and the versions."""
    chip = f"{torch.cuda.get_device_name()}, {processor()}" if options.device == "cuda" else processor()
    versions = ", ".join(f"{name} {version}" for name, (_, version) in found.items())
    rehearsal = ": a rehearsal of the GPU's benchmark" if options.rehearse else ""
    return [f"# Neighbour lists{rehearsal}", f"{chip}, torch {torch.__version__}; {versions}.", command("neighbors.py")]


def read_options(words: list[str] | None = None) -> argparse.Namespace:
    """The command line; what is not said depends on the device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rehearse", action="store_true", help="run the GPU's benchmark on the CPU")
    parser.add_argument("--peer-python", action="append", default=[], help="interpreter of an environment with peers")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--atoms", type=int, nargs="+", help="default 100 to 100,000, on a GPU to 1,000,000")
    parser.add_argument("--cutoffs", type=float, nargs="+", default=[5.0, 10.0], help="Å")
    parser.add_argument("--cells", nargs="+", choices=("cubic", "triclinic", "open"), default=["cubic", "triclinic"])
    parser.add_argument("--dtypes", nargs="+", choices=("float32", "float64"), help="default both, on a GPU float32")
    parser.add_argument("--molecules", type=int, default=64, help="molecules of 24 atoms in a batch")
    parser.add_argument("--scaling", type=int, nargs="*", default=[10_000, 100_000, 1_000_000], help="atoms")
    parser.add_argument(
        "--seconds", type=float, default=0.2, help="measured for each entry of a row, all turns together"
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--limit", type=float, default=0.5, help="seconds that a call which cannot win may take")
    parser.add_argument("--patience", type=float, help="seconds after which a process is given up; 60, on a GPU 180")
    parser.add_argument("--memory", type=float, default=12.0, help="GiB that a CPU process may hold")
    parser.add_argument("--budget", type=float, default=0.0, help="seconds after which to end; 0: when all is done")
    parser.add_argument("--output", type=Path, help=f"file of the tables; on a GPU {CUDA_OUTPUT.name} in results/")
    options = parser.parse_args(words)
    options.kind, on_gpu = options.device, options.device == "cuda"
    if options.rehearse and not on_gpu:
        parser.error("--rehearse is for --device cuda: the CPU's benchmark is no rehearsal")
    options.atoms = options.atoms or [10**power for power in range(2, 7 if on_gpu else 6)]
    options.dtypes = options.dtypes or (["float32"] if on_gpu else ["float32", "float64"])
    options.patience = options.patience or (180.0 if on_gpu else 60.0)
    if options.rehearse:
        options.device = "cpu"
    elif on_gpu:
        options.output = options.output or CUDA_OUTPUT
        if why := Cuda().why_not():
            parser.error(f"--device cuda: {why}; --rehearse runs the same code on the CPU")
    return options


def main() -> None:
    """Measure, and write the tables of a device."""
    options = read_options()
    options.deadline = Deadline(options.budget)
    found = locate([sys.executable, *options.peer_python])
    if HERE not in found:
        raise SystemExit(f"{HERE} is not installed for {Path(sys.executable).name}: pip install -e .")
    (run_cuda if options.kind == "cuda" else run_cpu)(found, options, Report(options.output))


if __name__ == "__main__":
    main()
