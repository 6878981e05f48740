"""Benchmarks ask a GPU what it does in one place, whose counts, texts and CPU stand-in are right."""

import time

import pytest
import torch
from benchmark_programs import module

devices, report = module("devices"), module("report")


def test_kernels_copies_and_launches_are_counted_apart() -> None:
    events = [
        ("void gemm(float*)", True),
        ("triton_poi_fused", True),
        ("Memcpy DtoD (Device -> Device)", True),
        ("Memset (Device)", True),
        ("## Call CompiledFxGraph", True),
        ("cudaLaunchKernel", False),
        ("cuLaunchKernelEx", False),
        ("cudaGraphLaunch", False),
        ("cudaMemcpyAsync", False),
        ("cudaStreamSynchronize", False),
        ("aten::mm", False),
    ]
    assert devices.count_activities(events) == (2, 2, 4)


def test_the_cpu_stands_in_for_a_gpu() -> None:
    cpu = devices.Cpu()
    values = torch.ones(3)
    assert cpu.why_not() == ""
    assert cpu.record(values.sum)() == 3
    assert 0 < cpu.timed(values.sum) < 10
    assert cpu.activities(values.sum) == (0, 0, 0)
    assert cpu.peak() > 1e7


def test_both_devices_offer_the_same() -> None:
    offers = {name for name in vars(devices.Device) if not name.startswith("_")} | {"name", "has_graphs"}
    for device in devices.DEVICES.values():
        assert offers <= set(dir(device))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_machine_without_a_gpu_says_so() -> None:
    assert devices.Cuda().why_not().startswith("no GPU: torch ")


@pytest.mark.gpu
def test_a_recorded_call_does_the_same_kernels_in_one_launch() -> None:
    cuda = devices.Cuda()
    values = torch.linspace(0, 1, 1000, device="cuda")
    result = cuda.record(lambda: (values * 2).exp())
    torch.testing.assert_close(result(), (values * 2).exp())
    plain, replayed = cuda.activities(lambda: (values * 2).exp()), cuda.activities(result)
    assert plain.kernels == replayed.kernels == 2
    assert (plain.launches, replayed.launches) == (2, 1)
    assert cuda.timed(result) > 0


def test_times_are_taken_until_the_time_is_over_and_at_least_once() -> None:
    assert devices.until(0, lambda: 1.0) == [1.0]
    assert len(devices.until(0.05, lambda: time.sleep(0.01) or 1.0)) > 1


def test_a_report_is_whole_after_each_row(tmp_path) -> None:
    written = report.Report(tmp_path / "results" / "x.md")
    for rows in ([], [["a"]], [["a"], ["b"]]):
        written.write(["# Title", "", report.table(["letter"], rows)])
        text = written.path.read_text()
        assert text.startswith("# Title\n\n| letter |\n| --- |\n")
        assert text.count("\n") == 4 + len(rows)
    assert [path.name for path in written.path.parent.iterdir()] == ["x.md"]


def test_a_report_without_a_file_is_printed_at_the_end(capsys) -> None:
    written = report.Report(None)
    written.write(["# Title"])
    assert capsys.readouterr().out == ""
    written.close()
    assert capsys.readouterr().out == "# Title\n"


def test_a_deadline_of_zero_never_comes() -> None:
    assert not report.Deadline(0).is_over
    soon = report.Deadline(1e-9)
    assert soon.is_over
    assert soon.left() == 0


def test_the_command_names_nothing_of_this_machine(monkeypatch) -> None:
    words = ["--peer-python", "elsewhere/bin/python", "--output", "some/where/x.md", "--atoms", "100"]
    monkeypatch.setattr("sys.argv", ["inference.py", *words])
    expected = "`python benchmarks/inference.py --peer-python PEER/bin/python --output x.md --atoms 100`"
    assert report.command("inference.py") == expected


def test_notes_are_told_once() -> None:
    assert report.notes("Why:", ["b", "a", "b"]) == "Why:\n\n- a\n- b"
    assert report.notes("Why:", []) == ""
