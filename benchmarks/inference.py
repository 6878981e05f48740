"""Time and memory of energy and forces: radial tables, exact path and TorchMD-NET, with the same weights.

    python benchmarks/inference.py --peer-python PEER/bin/python --output benchmarks/results/inference.md
    python benchmarks/inference.py --systems 24 166 --models TensorNet --threads 1      # a look, in a minute
    python benchmarks/inference.py --device cuda --peer-python PEER/bin/python --budget 540 --records rows.jsonl
    python benchmarks/inference.py --device cuda --rehearse --systems 22 --models TensorNet    # without a GPU

On a CPU tables are measured twice: as they are, and as TorchScript of the same model, which leaves out Python's work of
a call. On a GPU they are measured as they are, in a CUDA graph of the call alone, by the calculator ``External``, which
replays one too, copies what it is given and what it gives and asks whether all went well, and compiled; TorchMD-NET as
it is, by its ``External`` with its CUDA graph, and compiled. ``inference_ways.py`` says how.

Each entry of a row has a process of its own; the processes of a row take turns, so that noise meets all of them, and a
row shows medians, on a GPU of times by events over calls back to back. What does not run within ``--memory`` and
``--patience`` is left out, with its reason below the table. Differences are the largest of an array, relative to its
largest entry. The report is written anew after each row; ``--records`` keeps the rows, and a later run adds to them
those that are missing. ``--rehearse`` runs the GPU's benchmark on the CPU, without events and graphs: its code, not its
numbers.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from devices import Cuda
from inference_cases import CUDA_SYSTEMS, MODELS, SYSTEMS
from inference_race import Row, done_before, make_field, run_row, stop_all
from inference_tables import cpu_report, cuda_report, shown
from inference_ways import KINDS, WAYS
from neighbor_race import environment
from report import Deadline, Report, command, notes, processor, table

IMPORT = (
    "import json, time; a = time.perf_counter(); import torch; b = time.perf_counter(); "
    "import torchmdnet.models.model; print(json.dumps([b - a, time.perf_counter() - b]))"
)
CUDA_MODELS = ("TensorNet", "ET-SPICE", "ET-QM9")
CUDA_OUTPUT = Path(__file__).with_name("results") / "inference_cuda.md"


def wanted(options: argparse.Namespace) -> list[tuple[str, str, int]]:
    """Rows in the order of measuring: on a GPU all models of a size before the next size, for there time is short."""
    if options.kind == "cuda":
        return [(model, system, 1) for system in options.systems for model in options.models]
    threads = options.threads
    return [(model, system, number) for model in options.models for number in threads for system in options.systems]


def run_all(missing: list[tuple[str, str, int]], options: argparse.Namespace) -> Iterator[Row]:
    """Rows until the time is over. Each has new processes: a peak of memory is that of a life, and a profiler stays."""
    for model, system, threads in missing:
        if options.deadline.is_over:
            return
        field = make_field(threads, options)
        try:
            row = run_row((model, system), threads, field, options)
        finally:
            stop_all(field.values())
        if options.deadline.is_over and any(why.startswith("slow") for why in row.reasons.values()):
            return
        yield row._replace(place=machine(options))


def measure_all(options: argparse.Namespace) -> None:
    """Measure what is not yet in the records, and write down each row at once."""
    report = Report(options.output)
    order = wanted(options)
    done = {row.key: row for row in done_before(options.records)}
    places = {row.place for row in done.values()} - {machine(options)}
    if places and not options.render:
        raise SystemExit(
            f"{options.records}: rows of {places.pop()}, and this is {machine(options)}: name another file"
        )
    rows = [done[key] for key in order if key in done]
    imports = ""
    report.write(parts(rows, order, options, imports))
    if not options.render:
        for row in run_all([key for key in order if key not in done], options):
            rows.append(row)
            rows.sort(key=lambda row: order.index(row.key))
            if options.records:
                with options.records.open("a") as records:
                    print(row.to_json(), file=records)
            report.write(parts(rows, order, options, imports))
            times = ", ".join(f"{kind} {1e3 * entry.seconds:.4g} ms" for kind, entry in row.entries.items())
            print(f"{' '.join(map(str, row.key))}: {times}", file=sys.stderr, flush=True)
        imports = import_table(options) if not options.deadline.is_over and options.kind == "cpu" else ""
        report.write(parts(rows, order, options, imports))
    report.close()


def parts(
    rows: list[Row], order: list[tuple[str, str, int]], options: argparse.Namespace, imports: str
) -> Iterator[str]:
    """The report."""
    where = "a GPU" if options.kind == "cuda" and not options.rehearse else "a CPU"
    rehearsal = ": a rehearsal of the GPU's benchmark" if options.rehearse else ""
    places = {row.place for row in rows} or {machine(options)}
    versions = {version for row in rows for version in row.versions}
    yield f"# Energy and forces on {where}{rehearsal}"
    yield "; ".join([*sorted(places), *sorted(versions)]) + "; float32."
    yield command("inference.py")
    kinds = [kind for kind in WAYS if kind in options.kinds]
    yield from (
        cpu_report(rows, kinds) if options.kind == "cpu" else cuda_report(rows, kinds, time_step=options.time_step)
    )
    yield imports
    missing = [key for key in order if key not in {row.key for row in rows}]
    yield notes(
        "Not measured:", (f"{model}, {shown(system)} atoms, {threads} threads" for model, system, threads in missing)
    )


def machine(options: argparse.Namespace) -> str:
    """What it runs on."""
    if options.device == "cpu" or options.render:
        return f"{processor()}, torch {torch.__version__}"
    return f"{torch.cuda.get_device_name()}, {processor()}, torch {torch.__version__}"


def import_table(options: argparse.Namespace) -> str:
    """The median of three imports."""
    rows = []
    for name, python in (("torchmdnet", sys.executable), (WAYS["peer"].title, options.peer_python)):
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
        rows.append([name, *(f"{statistics.median(values):.2f}" for values in zip(*found, strict=True))])
    return "## Import, in seconds\n\n" + table(["package", "torch", "the package beside it"], rows)


def read_options(words: list[str] | None = None) -> argparse.Namespace:
    """The command line; what is not said depends on the device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=list(KINDS), default="cpu")
    parser.add_argument("--rehearse", action="store_true", help="run the GPU's benchmark on the CPU")
    parser.add_argument("--peer-python", help="interpreter of an environment with TorchMD-NET")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), help=f"on a GPU {' '.join(CUDA_MODELS)}")
    parser.add_argument("--systems", nargs="+", help="atoms, or SYSTEMSxATOMS; also 100000")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of a CPU")
    parser.add_argument("--kinds", nargs="+", choices=list(WAYS), help="ways to run the models")
    parser.add_argument(
        "--seconds", type=float, help="measured for each entry of a row, all turns together; 3, on a GPU 0.6"
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--patience", type=float, help="seconds after which an answer is given up; 300, on a GPU 150")
    parser.add_argument("--memory", type=float, default=14.0, help="GiB that a process may hold, on a CPU")
    parser.add_argument("--budget", type=float, default=0.0, help="seconds after which to end; 0: when all is done")
    parser.add_argument("--time-step", type=float, default=1.0, help="fs, for ns a day")
    parser.add_argument("--output", type=Path, help=f"file of the report; on a GPU {CUDA_OUTPUT.name} in results/")
    parser.add_argument("--records", type=Path, help="file of rows, which is added to")
    parser.add_argument("--render", action="store_true", help="write the report of --records and measure nothing")
    options = parser.parse_args(words)
    if options.rehearse and options.device == "cpu":
        parser.error("--rehearse is for --device cuda: the CPU's benchmark is no rehearsal")
    if options.render and not options.records:
        parser.error("--render needs --records, the rows to be written")
    options.kind = options.device
    options.at_once = options.device == "cuda" and not options.rehearse
    on_gpu = options.kind == "cuda"
    options.models = options.models or list(CUDA_MODELS if on_gpu else MODELS)
    options.systems = options.systems or list(CUDA_SYSTEMS if on_gpu else SYSTEMS)
    options.kinds = list(options.kinds or KINDS[options.kind])
    options.patience = options.patience or (150.0 if on_gpu else 300.0)
    options.seconds = (0.6 if on_gpu else 3.0) if options.seconds is None else options.seconds
    if not options.peer_python and not options.render:
        options.kinds = [kind for kind in options.kinds if WAYS[kind].distribution == "torchmdnet"]
    if options.rehearse:
        options.device = "cpu"
    elif on_gpu and not options.render:
        options.output = options.output or CUDA_OUTPUT
        if why := Cuda().why_not():
            parser.error(f"--device cuda: {why}; --rehearse runs the same code on the CPU, --render needs no GPU")
    return options


def main() -> None:
    """Measure, and write the report."""
    options = read_options()
    options.deadline = Deadline(options.budget)
    measure_all(options)


if __name__ == "__main__":
    main()
