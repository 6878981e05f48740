"""All ways in which the benchmark of inference runs a model give the same energies and forces."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmark_programs import call_here, module, table_of

devices, ways, worker = module("devices"), module("inference_ways"), module("inference_worker")

SYSTEM = "2x6"


def run(kind: str, folder: Path, *, model: str = "TensorNet", device: Any = None) -> tuple[Any, dict[str, Any]]:
    """A worker after its preparation, and what it found."""
    made = worker.Worker(kind, device or devices.Cpu())
    result = str(folder / f"{kind}.npz")
    answer = made.prepare(model=model, system=SYSTEM, weights=str(folder / "weights.pt"), result=result)
    return made, answer


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Modes of what would be compiled, which takes minutes, and is tested elsewhere."""
    modes = []

    def compile_nothing(function: Any, *, dynamic: bool, mode: str, fullgraph: bool = False) -> Any:
        assert not dynamic
        modes.append(mode)
        return function

    monkeypatch.setattr(torch, "compile", compile_nothing)
    return modes


@pytest.mark.parametrize("kind", sorted(set(ways.WAYS) - {"tables", "scripted"}))
def test_every_way_gives_the_same_numbers(kind: str, tmp_path: Path, compiler: list[str]) -> None:
    run("tables", tmp_path)
    made, answer = run(kind, tmp_path)
    assert set(answer) == {"first", "building", "ready"}
    ours, others = np.load(tmp_path / "tables.npz"), np.load(tmp_path / f"{kind}.npz")
    assert ours["energy"].shape == (2,)
    for name in ("energy", "forces"):
        assert ours[name].shape == others[name].shape
        np.testing.assert_allclose(others[name], ours[name], atol=2e-5 * np.abs(ours[name]).max(), rtol=0)
    assert made.measure(seconds=0)["times"][0] > 0
    assert compiler == ["reduce-overhead"] * kind.endswith("compiled")


@pytest.mark.parametrize("kind", ["graph", "external", "tables"])
def test_a_way_with_tables_says_that_a_model_has_none(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.nn.Module, "modules", lambda _: iter(()))
    assert run(kind, tmp_path)[1] == {"why": "no tables: this model has none"}


class Recorder(devices.Cpu):
    """A CPU that is taken for a GPU, and remembers what was recorded on it."""

    def __init__(self) -> None:
        self.recorded: list[Any] = []

    def record(self, run: Any) -> Any:
        """What would be one graph."""
        self.recorded.append(run)
        return run


def test_the_graph_is_recorded_after_lists_have_found_their_length(tmp_path: Path) -> None:
    recorder = Recorder()
    made, _ = run("graph", tmp_path, device=recorder)
    assert recorder.recorded == [made.run]


def test_another_model_takes_the_place_of_the_first(tmp_path: Path) -> None:
    made, _ = run("tables", tmp_path)
    result, weights = str(tmp_path / "other.npz"), str(tmp_path / "other.pt")
    made.prepare(model="ET-SPICE", system="6", weights=weights, result=result)
    assert made.edges() == {"edges": 36}
    assert np.load(result)["forces"].shape == (6, 3)


def test_nothing_is_measured_before_it_is_prepared() -> None:
    made = worker.Worker("tables", devices.Cpu())
    with pytest.raises(RuntimeError, match="nothing is prepared"):
        made.measure(seconds=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_worker_needs_its_device() -> None:
    with pytest.raises(RuntimeError, match="no GPU"):
        worker.Worker("tables", devices.Cuda())


def test_a_rehearsal_runs_the_gpus_benchmark_and_goes_on_from_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output, records = tmp_path / "x.md", tmp_path / "rows.jsonl"
    words = ["--device", "cuda", "--rehearse", "--models", "TensorNet", "--kinds", "tables", "graph", "--seconds", "0"]
    words += ["--turns", "1", "--output", str(output), "--records", str(records), "--systems"]
    call_here(monkeypatch, "inference.py", *words, "6")
    assert "TensorNet 6 1: tables" in capsys.readouterr().err
    call_here(monkeypatch, "inference.py", *words, SYSTEM, "6")
    again = capsys.readouterr().err
    assert "TensorNet 2x6 1: tables" in again
    assert "TensorNet 6 1" not in again
    text = output.read_text()
    assert text.startswith("# Energy and forces on a CPU: a rehearsal of the GPU's benchmark\n")
    rows = table_of(text, "Energy and forces")
    assert [row["atoms"] for row in rows] == ["2 x 6", "6"]
    assert min(float(row[f"{title} ms"]) for row in rows for title in ("tables", "graph")) > 0
    assert {row["compared"] for row in table_of(text, "Differences")} == {"tables - graph"}
    assert max(float(row["forces"]) for row in table_of(text, "Differences")) < 1e-6
    assert len(records.read_text().splitlines()) == 2
