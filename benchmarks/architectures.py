"""TensorNet and the equivariant transformer with radial tables beside MACE and NequIP: time and memory on a CPU.

    python benchmarks/architectures.py --mace-python MACE/bin/python --nequip-python NEQUIP/bin/python

Energy and forces of water in float32. Errors that were published for these architectures are alike: on aspirin of
rMD17 (950 frames; energies in meV, forces in meV/Å) 2.4 and 8.9 with TensorNet (arXiv:2306.06482), 2.3 and 8.2 with
NequIP and 2.2 and 6.6 with MACE (arXiv:2206.07697), the last two with larger networks than here. The sizes are those
that are used: MACE as in MACE-OFF23 small and medium (arXiv:2312.15211, but 128 channels and 5 Å in both), NequIP as
the presets S and M of its foundation models.

All search their neighbours within 5 Å; ours do it in every call, for MACE and NequIP it is done beforehand and not
counted. Each model has a process of its own, those of a row take turns, and a row shows medians.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from architectures_worker import PEERS
from inference_race import Contestant, order
from neighbor_race import Process
from report import Deadline, line, processor

OURS = ("TensorNet", "ET-SPICE")


class Peer(Process):
    """A worker with another package."""

    def __init__(self, name: str, python: str, system: str, *, threads: int, options: argparse.Namespace) -> None:
        super().__init__(name, python, threads=threads, memory=options.memory, patience=options.patience)
        script = str(Path(__file__).with_name("architectures_worker.py"))
        words = ["--system", system, "--threads", str(threads), "--memory", str(options.memory)]
        self.command = [python, script, name, *words]
        # The constants of the e3nn that MACE asks for are a pickle, which PyTorch from 2.6 on does not read unasked.
        self.environment["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"


def pythons_of(options: argparse.Namespace) -> dict[str, str]:
    """Interpreter of each peer that takes part."""
    found = {"mace-torch": options.mace_python, "nequip": options.nequip_python}
    return {name: found[peer.distribution] for name, peer in PEERS.items() if found[peer.distribution]}


def run_row(system: str, threads: int, options: argparse.Namespace) -> dict[str, tuple[float, float] | str]:
    """Median seconds and peak bytes of each model, or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        field: dict[str, Process] = {name: Contestant("tables", threads=threads, options=options) for name in OURS}
        for name, python in pythons_of(options).items():
            field[name] = Peer(name, python, system, threads=threads, options=options)
        return race(system, field, Path(folder), options)


def race(
    system: str, field: dict[str, Process], folder: Path, options: argparse.Namespace
) -> dict[str, tuple[float, float] | str]:
    """Prepare all, then measure all in turns."""
    results: dict[str, tuple[float, float] | str] = dict.fromkeys(field, "")
    times: dict[str, list[float]] = {}
    try:
        for name, process in field.items():
            place = folder / name
            place.mkdir()
            answer = process.ask("prepare", **(order((name, system), name, place) if name in OURS else {}))
            if "why" in answer:
                results[name] = answer["why"]
                process.stop()
            else:
                times[name] = []
        for _ in range(options.turns):
            for name in times:
                times[name] += field[name].ask("measure", seconds=options.seconds / options.turns).get("times", [])
        for name, values in times.items():
            if values:
                results[name] = statistics.median(values), field[name].ask("peak").get("bytes", float("nan"))
    finally:
        for process in field.values():
            process.stop()
    return results


def cells_of(result: tuple[float, float] | str | None, ours: dict[str, Any]) -> list[str]:
    """Milliseconds, how many times ours, megabytes."""
    if not isinstance(result, tuple):
        return [(result or "").split(":")[0], *("" for _ in OURS), ""]
    seconds, peak = result
    ratios = [f"{seconds / ours[name][0]:.1f}" if isinstance(ours[name], tuple) else "" for name in OURS]
    return [f"{1e3 * seconds:.4g}", *ratios, f"{peak / 1e6:.0f}"]


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mace-python", help="interpreter of an environment with mace-torch")
    parser.add_argument("--nequip-python", help="interpreter of an environment with nequip")
    parser.add_argument("--systems", nargs="+", default=["24", "64x24", "166", "1029", "5184"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="measured for each model of a row, all turns together"
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--patience", type=float, default=300.0, help="seconds after which an answer is given up")
    parser.add_argument("--memory", type=float, default=14.0, help="GiB that a process may hold")
    options = parser.parse_args()
    options.device, options.deadline = "cpu", Deadline(0)
    return options


def main() -> None:
    """Print a table as markdown."""
    options = read_options()
    hidden = {options.mace_python: "MACE/bin/python", options.nequip_python: "NEQUIP/bin/python"}
    words = " ".join(hidden.get(word, word) for word in sys.argv[1:])
    print(f"# Beside other architectures, on a CPU\n\n{processor()}, torch {torch.__version__}, float32.\n")
    print(f"`python benchmarks/architectures.py {words}`\n")
    title = ["atoms", "threads", "model", "ms", *(f"times {name}" for name in OURS), "MB"]
    print(line(title), line(["---"] * len(title)), sep="\n", flush=True)
    reasons = []
    for threads in options.threads:
        for system in options.systems:
            results = run_row(system, threads, options)
            for name, result in results.items():
                print(line([system.replace("x", " x "), threads, name, *cells_of(result, results)]), flush=True)
                if isinstance(result, str):
                    reasons.append(f"- {name}, {system} atoms, {threads} threads: {result}")
    if reasons:
        print("\nEmpty rows, in the words of the libraries:\n", *reasons, sep="\n")


if __name__ == "__main__":
    main()
