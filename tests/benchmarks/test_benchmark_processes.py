"""Benchmarks talk to processes that may work at the same time, die or hang, and a row ends well all the same."""

import argparse
import json
import sys
from typing import Any

import numpy as np
import pytest
from benchmark_programs import module

race, inference_race, report = module("neighbor_race"), module("inference_race"), module("report")

WORKER = """
import json, sys, time
print(json.dumps({"version": "1"}), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if order["do"] == "die":
        sys.exit()
    time.sleep(order.get("wait", 0))
    print(json.dumps({"did": order["do"]}), flush=True)
"""


@pytest.fixture
def process():
    made = race.Process("torchmdnet", sys.executable, threads=1, memory=0, patience=60)
    made.command = [sys.executable, "-c", WORKER]
    yield made
    made.stop()


def test_an_order_is_answered(process) -> None:
    assert process.ask("this") == {"did": "this"}
    assert process.ask("that") == {"did": "that"}
    assert process.version == "1"


def test_a_process_that_was_started_takes_orders(process) -> None:
    process.start()
    first = process.process
    assert process.ask("this") == {"did": "this"}
    assert process.process is first


def test_an_order_waits_until_it_is_heard(process) -> None:
    process.tell("this")
    assert process.hear() == {"did": "this"}


def test_a_process_that_ended_is_started_anew(process) -> None:
    assert process.ask("die") == {"why": "process ended"}
    assert process.ask("this") == {"did": "this"}


def test_a_process_that_hangs_is_given_up(process) -> None:
    process.ask("this")
    process.patience = 0.1
    assert process.ask("this", wait=60) == {"why": "slow: nothing after 0 s"}
    assert process.process is None


def test_no_process_is_waited_for_beyond_the_deadline(process) -> None:
    process.ask("this")
    process.deadline = report.Deadline(0.2)
    assert process.ask("this", wait=60)["why"].startswith("slow")


def test_what_a_library_says_when_it_cannot_start_is_the_reason(process) -> None:
    process.command = [sys.executable, "-c", 'print(\'{"missing": "no GPU"}\')']
    assert process.ask("this") == {"why": "no GPU"}


class Told:
    """A process that answers from a list."""

    version = "1"
    has_activities = False

    def __init__(self, name: str, answers: dict[str, Any]) -> None:
        self.name, self.answers, self.orders, self.stops = name, answers, [], 0

    def start(self) -> None:
        pass

    def tell(self, do: str, **order: Any) -> None:
        self.orders.append((do, order))

    def hear(self) -> dict[str, Any]:
        do, order = self.orders[-1]
        answer = self.answers.get(do, {})
        answer = answer.pop(0) if isinstance(answer, list) else answer
        if do == "prepare" and "why" not in answer:
            np.savez(order["result"], energy=np.ones(1), forces=np.full((2, 3), answer.get("force", 1.0)))
            answer = {"first": 1.0, "building": 0.5, "ready": 2.0}
        return answer

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        self.tell(do, **order)
        return self.hear()

    def stop(self) -> None:
        self.stops += 1


def times(*seconds: float) -> dict[str, Any]:
    return {"prepare": {}, "measure": {"times": list(seconds)}, "peak": {"bytes": 10}, "edges": {"edges": 4}}


def run(field: dict[str, Told], *, at_once: bool = False):
    options = argparse.Namespace(at_once=at_once, turns=2, seconds=1.0)
    return inference_race.run_row(("TensorNet", "2"), 1, field, options)


@pytest.mark.parametrize("at_once", [False, True])
def test_one_that_fails_leaves_the_others(at_once: bool) -> None:
    broken = Told("graph", times() | {"prepare": {"why": "RuntimeError: not captured"}})
    field = {"tables": Told("tables", times(2.0)), "graph": broken, "peer": Told("peer", times(6.0))}
    row = run(field, at_once=at_once)
    assert {name: entry.seconds for name, entry in row.entries.items()} == {"tables": 2.0, "peer": 6.0}
    assert row.reasons == {"graph": "RuntimeError: not captured"}
    assert row.edges == 4
    assert broken.stops > 0


def test_one_that_fails_while_it_is_measured_says_why() -> None:
    late = times() | {"measure": [{"times": [2.0]}, {"why": "RuntimeError: device-side assert"}]}
    row = run({"tables": Told("tables", late), "graph": Told("graph", times(2.0))})
    assert row.reasons == {"tables": "RuntimeError: device-side assert"}
    assert list(row.entries) == ["graph"]
    assert row.edges == 4


def test_what_had_no_memory_beside_others_is_measured_alone() -> None:
    crowded = times(5.0) | {"prepare": [{"why": "OutOfMemoryError: CUDA out of memory."}, {}]}
    ours, peer = Told("tables", times(2.0)), Told("peer", crowded)
    row = run({"tables": ours, "peer": peer}, at_once=True)
    assert row.entries["peer"].seconds == 5.0
    assert row.reasons == {}
    assert ours.stops > 0


def test_differences_are_relative_to_the_largest_entry() -> None:
    other = times(1.0) | {"prepare": {"force": 1.25}}
    row = run({"tables": Told("tables", times(1.0)), "peer": Told("peer", other)})
    assert row.differences == {"tables - TorchMD-NET": (0.0, pytest.approx(0.2))}


def test_weights_are_those_of_the_first() -> None:
    field = {"tables": Told("tables", times(1.0)), "peer": Told("peer", times(1.0))}
    run(field)
    orders = [process.orders[0][1] for process in field.values()]
    assert orders[0]["weights"] == orders[1]["weights"]
    assert orders[0]["result"] != orders[1]["result"]


def test_two_processes_are_compared_with_one() -> None:
    pair = [Told("tables", times(2.0)), Told("tables", times(4.0))]
    assert race.throughput_of_two(pair, 2.0, seconds=1) == 1.5
    assert race.throughput_of_two([pair[0], Told("tables", {})], 2.0, seconds=1) is None


def test_a_row_measures_two_processes_of_one_thread() -> None:
    names = {"tables": "tables", inference_race.ONE_THREAD: "tables", inference_race.TWIN: "tables"}
    row = run({name: Told(kind, times(3.0)) for name, kind in names.items()})
    assert row.together == 2.0
    assert inference_race.TWIN not in row.entries


def test_records_give_rows_back(tmp_path) -> None:
    row = run({"tables": Told("tables", times(2.0)), "peer": Told("peer", times() | {"prepare": {"why": "x"}})})
    records = tmp_path / "rows.jsonl"
    records.write_text(row.to_json() + "\n")
    assert inference_race.done_before(records) == [row]
    assert json.loads(records.read_text())["model"] == "TensorNet"
    assert inference_race.done_before(tmp_path / "none") == []
