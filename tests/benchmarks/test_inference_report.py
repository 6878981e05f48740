"""What the benchmark of inference writes follows from its records, on a machine without a GPU, too."""

from pathlib import Path

import pytest
import torch
from benchmark_programs import call_here, module, table_of

race, inference = module("inference_race"), module("inference")

ACTIVITIES = {"kernels": 40, "copies": 3, "launches": 1}


def entry(seconds: float, **others):
    given = {"first": 0.5, "building": 0.1, "ready": 2.0, "peak": 3e6, "activities": ACTIVITIES}
    return race.Entry(seconds, **given | others)


@pytest.fixture
def rows() -> list:
    entries = {"tables": entry(0.004), "graph": entry(0.001), "external": entry(0.002), "peer": entry(0.02)}
    entries["peer-external"] = entry(0.008, activities={})
    row = race.Row(
        model="TensorNet",
        system="166",
        threads=1,
        entries=entries,
        reasons={"compiled": "RuntimeError: no compiler"},
        differences={"tables - TorchMD-NET": (1e-7, 2e-6)},
        edges=1660,
        machine={"flops": 50e12, "bandwidth": 4e12},
        place="a GPU of the test",
        versions=("torchmd-net 3.1.0",),
    )
    return [row, row._replace(system="64x24", entries={}, reasons={"tables": "OutOfMemoryError: all"}, differences={})]


@pytest.fixture
def records(tmp_path: Path, rows: list) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(row.to_json() + "\n" for row in rows))
    return path


@pytest.fixture
def render(records: Path, monkeypatch, capsys):
    def run(*words: str) -> str:
        call_here(monkeypatch, "inference.py", "--device", "cuda", "--render", "--records", str(records), *words)
        return capsys.readouterr().out

    return run


@pytest.fixture
def text(render) -> str:
    return render()


def test_names_the_machine_of_the_records(text: str) -> None:
    assert text.startswith("# Energy and forces on a GPU\n\na GPU of the test; torchmd-net 3.1.0; float32.\n")


def test_ratios_compare_like_with_like(text: str) -> None:
    row = table_of(text, "Energy and forces")[0]
    assert (row["tables ms"], row["External ms"]) == ("4", "2")
    assert row["edges/atom"] == "10.0"
    assert row["TorchMD-NET/tables"] == "5.00"
    assert row["TorchMD-NET External/External"] == "4.00"
    assert row["TorchMD-NET compiled/compiled"] == ""
    assert row["fastest TorchMD-NET/fastest of ours"] == "8.00"


def test_an_empty_cell_tells_why(text: str) -> None:
    first, second = table_of(text, "Energy and forces")
    assert first["compiled ms"] == "RuntimeError"
    assert second["tables ms"] == "OutOfMemoryError"
    assert "- TensorNet, 166 atoms, 1 threads, compiled: RuntimeError: no compiler\n" in text


def test_steps_are_the_inverse_of_times(text: str) -> None:
    row = table_of(text, "Steps a second (ns a day with 1 fs)")[0]
    assert row["graph"] == "1000 (86.4)"


def test_the_time_step_can_be_chosen(render) -> None:
    row = table_of(render("--time-step", "4"), "Steps a second (ns a day with 4 fs)")[0]
    assert row["graph"] == "1000 (346)"


def test_memory_kernels_and_differences_are_told(text: str) -> None:
    assert table_of(text, "Peak memory of tensors, MB")[0]["graph"] == "3"
    kernels = table_of(text, "Kernels + copies (launches by the CPU) of a call")[0]
    assert (kernels["graph"], kernels["TorchMD-NET External"]) == ("40 + 3 (1)", "")
    assert table_of(text, "Differences")[0]["forces"] == "2.0e-06"


def test_the_roofline_is_that_of_the_graph(text: str) -> None:
    row = table_of(text, "Cost of tables in a graph, and what it reaches")[0]
    assert float(row["µs/atom"]) == pytest.approx(1000 / 166, rel=1e-3)
    assert row["peak"] == "4000.0"


def test_rows_that_are_missing_are_named(text: str) -> None:
    assert "Not measured:\n\n- ET-QM9, 166 atoms, 1 threads\n" in text
    assert "- TensorNet, 166 atoms" not in text.split("Not measured:")[1]


def test_the_tables_of_a_cpu_show_what_two_threads_can_reach(rows: list) -> None:
    threads = rows[0]._replace(threads=2, together=1.7, entries=rows[0].entries | {race.ONE_THREAD: entry(0.006)})
    [row] = table_of("\n\n".join(module("inference_tables").cpu_report([threads], ["tables", "peer"])), "Energy and")
    assert (row["one thread/threads"], row["two processes/one"]) == ("1.50", "1.70")
    assert row["TorchMD-NET/tables"] == "5.00"
    assert "TorchMD-NET/exact" not in row


def test_a_budget_that_is_spent_leaves_a_whole_report(tmp_path: Path, monkeypatch) -> None:
    output = tmp_path / "x.md"
    words = ["--device", "cuda", "--rehearse", "--models", "TensorNet", "--systems", "6", "--output", str(output)]
    call_here(monkeypatch, "inference.py", *words, "--budget", "1e-9")
    assert output.read_text().endswith("Not measured:\n\n- TensorNet, 6 atoms, 1 threads\n")
    assert table_of(output.read_text(), "Energy and forces") == []


def test_records_of_another_machine_are_refused(records: Path, monkeypatch) -> None:
    words = ["--device", "cuda", "--rehearse", "--models", "TensorNet", "--systems", "166", "--records", str(records)]
    with pytest.raises(SystemExit, match="rows of a GPU of the test, and this is"):
        call_here(monkeypatch, "inference.py", *words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("script", ["inference.py", "neighbors.py"])
def test_a_machine_without_a_gpu_is_refused(script: str, monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit):
        call_here(monkeypatch, script, "--device", "cuda")
    error = capsys.readouterr().err
    assert "error: --device cuda: no GPU: torch " in error
    assert "--rehearse runs the same code on the CPU" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rehearse"], "--rehearse is for --device cuda"),
        (["--render"], "--render needs --records"),
        (["--device", "cuda", "--kinds", "fast"], "invalid choice: 'fast'"),
    ],
)
def test_options_that_make_no_sense_are_refused(words: list[str], message: str, capsys) -> None:
    with pytest.raises(SystemExit):
        inference.read_options(words)
    assert message in capsys.readouterr().err


def test_a_gpu_has_other_rows_in_another_order() -> None:
    options = inference.read_options(["--device", "cuda", "--rehearse", "--models", "TensorNet", "ET-SPICE"])
    order = inference.wanted(options)
    assert order[:2] == [("TensorNet", "166", 1), ("ET-SPICE", "166", 1)]
    assert {system for _, system, _ in order} == {"22", "166", "2489", "5807", "30327", "64x24"}
    assert "graph" in options.kinds
    assert "peer" not in options.kinds
    assert options.output is None


def test_a_cpu_has_a_row_for_each_number_of_threads() -> None:
    order = inference.wanted(inference.read_options(["--models", "TensorNet", "--systems", "24", "166"]))
    assert order == [("TensorNet", system, threads) for threads in (1, 2) for system in ("24", "166")]
