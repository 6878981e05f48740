"""The benchmark of neighbour lists runs, and refuses to time a wrong list."""

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest
from benchmark_programs import BENCHMARKS, call, cells_of, module, table_of

tables, race = module("neighbor_tables"), module("neighbor_race")


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> type:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("neighbor_cases").Case


def test_prints_a_row_for_each_case() -> None:
    options = {"threads": 1, "atoms": 40, "cutoffs": 3, "cells": "triclinic", "dtypes": "float64", "molecules": 2}
    options |= {"scaling": 60, "seconds": 0, "turns": 1}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    output = call("neighbors.py", *words).stdout
    title, _, crystal, molecules, _, _, large = cells_of(output)
    sizes = [row[title.index("atoms")] for row in (crystal, molecules)]
    speeds = [float(row[title.index(column)]) for row in (crystal, molecules) for column in ("list", "graph", "ase")]
    assert sizes == ["40", "2 x 24"]
    assert min(speeds) > 0
    assert large[1] == "60"
    assert float(large[3]) > 0


@pytest.mark.parametrize("cell", ["cubic", "triclinic", "open"])
def test_atoms_lie_in_the_cell(case: type, cell: str) -> None:
    example = case(num_atoms=50, num_systems=3, cell=cell, cutoff=5.0, dtype="float32")
    fraction = example.positions() @ np.linalg.inv(example.box())
    assert fraction.shape == (3, 50, 3)
    assert fraction.min() >= 0
    assert fraction.max() < 1
    assert np.linalg.det(example.box()) == pytest.approx(500, rel=1e-6)


def test_a_list_with_another_number_of_pairs_is_wrong(case: type) -> None:
    exact, rounded = (
        case(num_atoms=50, num_systems=1, cell="open", cutoff=5.0, dtype=dtype, num_pairs=1000)
        for dtype in ("float64", "float32")
    )
    assert exact.wrong(1000) == ""
    assert exact.wrong(998) == "wrong: 998 pairs for 1000"
    assert rounded.wrong(998) == ""
    assert rounded.wrong(990) == "wrong: 990 pairs for 1000"


@pytest.fixture
def row(case: type):
    known = case(
        num_atoms=1000, num_systems=1, cell="cubic", cutoff=5.0, dtype="float32", device="cuda", num_pairs=10_000
    )
    seconds = {"list": 1e-5, "nvalchemi": 4e-5, "TorchMD-NET": 2e-5}
    calls = {"nvalchemi": "cell_list list", "TorchMD-NET": "cell"}
    return race.Row(known, seconds, calls, {"vesin": "no fixed shape"})


def test_a_gpus_table_has_speeds_and_the_fraction_of_a_copy(row) -> None:
    names = ["vesin", "nvalchemi", "TorchMD-NET"]
    text = tables.cuda_table([row], names, bandwidth=1e12)
    [cells] = table_of(text, "Millions of pairs per second")
    # 10,000 pairs of 36 bytes and 1000 positions of 12 bytes are 372 kB, which 1 TB/s takes 0.372 µs for.
    assert cells["list"] == "1e+03 (3.7 %)"
    assert cells["list/fastest"] == "2.00 (TorchMD-NET)"
    assert cells["vesin"] == "no fixed shape"
    assert cells["calls"] == "nvalchemi cell_list list, TorchMD-NET cell"
    assert tables.reasons([(1, row)]).endswith("\n- vesin: no fixed shape")


def test_the_roofline_knows_the_size_of_numbers(row) -> None:
    double = row._replace(case=dataclasses.replace(row.case, dtype="float64"))
    single, wide = (float(tables.with_roofline(each, "list", 1e10).split("(")[1].split()[0]) for each in (row, double))
    assert wide / single == pytest.approx((52 + 2.4) / (36 + 1.2), rel=1e-3)


def test_the_tables_of_a_cpu_show_what_two_threads_can_reach(row) -> None:
    threads = row._replace(together=1.8, seconds=row.seconds | {race.ONE_THREAD: 1.6e-5})
    [cells] = table_of(tables.speeds_table([(2, threads)], ["TorchMD-NET"]), "Millions of pairs per second")
    assert (cells["list/one thread"], cells["two processes/one"]) == ("1.60", "1.80")


class Told:
    """A process that answers from a list."""

    name = "torchmdnet"

    def __init__(self, *answers) -> None:
        self.answers, self.orders, self.stops = list(answers), [], 0

    def ask(self, do: str, **order):
        self.orders.append(order)
        return self.answers.pop(0)

    def stop(self) -> None:
        self.stops += 1


def test_a_row_without_our_list_says_why(row) -> None:
    here = Told({"calls": {"list": {"why": "RuntimeError: no kernel"}}})
    found = race.run_row(row.case, [here], race.History(1.0), seconds=0, turns=1)
    assert (found.seconds, found.reasons) == ({}, {"list": "RuntimeError: no kernel"})
    assert race.run_row(row.case, [Told({"why": "process ended"})], race.History(1.0), seconds=0, turns=1).reasons == {
        "list": "process ended"
    }


def test_a_call_that_breaks_the_gpu_is_left_out_by_a_new_process(row) -> None:
    works = {"calls": {"cell": {"seconds": 1.0}}, "fastest": "cell", "broken": False}
    broken = {"calls": {"cell": {"seconds": 1.0}, "brute": {"why": "illegal address"}}, "broken": True}
    process = Told(broken, works)
    assert race.prepare(process, row.case, skip=["slow"]) == works
    assert process.stops == 1
    assert process.orders[1]["skip"] == ["slow", "brute"]
    all_broken = Told({"calls": {"brute": {"why": "illegal address"}}, "broken": True})
    assert race.prepare(all_broken, row.case) == {"why": "illegal address"}


def test_a_rehearsal_runs_the_gpus_benchmark(tmp_path: Path) -> None:
    output = tmp_path / "x.md"
    words = ["--rehearse", "--atoms", "40", "--cutoffs", "3", "--seconds", "0", "--turns", "1", "--output", str(output)]
    call("neighbors.py", "--device", "cuda", *words)
    text = output.read_text()
    assert text.startswith("# Neighbour lists: a rehearsal of the GPU's benchmark\n")
    exact, fixed = table_of(text, "Millions of pairs per second")
    assert (exact["size"], fixed["size"]) == ("exact", "fixed")
    assert exact["pairs"] == fixed["pairs"] != "0"
    assert min(float(cells["list"].split()[0]) for cells in (exact, fixed)) > 0


def test_a_budget_that_is_spent_leaves_a_whole_report(tmp_path: Path) -> None:
    output = tmp_path / "x.md"
    call("neighbors.py", "--device", "cuda", "--rehearse", "--budget", "1e-9", "--output", str(output))
    assert table_of(output.read_text(), "Millions of pairs per second") == []
