"""Two processes that act as two machines."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from torchmdnet.training.distributed import is_rank_zero
from torchmdnet.training.run import train


@pytest.fixture
def two_nodes(options, write_yaml, tmp_path):
    """Function that starts both processes; each node has a log folder of its own, as without a shared disk."""
    started = []

    def start(**given):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for rank in range(2):
            folder = tmp_path / f"node{rank}"
            conf = write_yaml(options | given | {"num_nodes": 2, "log_dir": str(folder)}, f"node{rank}.yaml")
            variables = {"NODE_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            process = subprocess.Popen(
                [sys.executable, "-m", "torchmdnet.scripts.train", "--conf", str(conf)],
                env=os.environ | variables | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.append(process)
        return started

    yield start
    for process in started:
        process.kill()
        process.communicate()


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_two_nodes_do_what_one_process_does_with_the_global_batch(two_nodes, config, tmp_path):
    """Seven training frames make batches of 2 + 2 and of 2 + 1 frames, of different numbers of atoms."""
    given = {"train_size": 7, "val_size": 6, "test_size": 3, "num_epochs": 3, "lr": 1e-2, "precision": 64}
    given |= {"ema_alpha_y": 0.5, "gradient_clipping": 5.0, "ema_decay": 0.9}
    processes = two_nodes(**given, batch_size=2)
    result = train(config(**given, batch_size=4))
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    found, expected = rows(tmp_path / "node0"), rows(result.best.parent)
    assert [row["epoch"] for row in found] == ["0", "1", "2", "3"]
    for row, right in zip(found, expected, strict=True):
        assert row.keys() == right.keys()
        for name, value in right.items():
            if value:
                assert float(row[name]) == pytest.approx(float(value), rel=1e-6), name
    assert not (tmp_path / "node1").exists()
    assert "epoch 3/3" in outputs[0][0]
    assert outputs[1][0] == ""


def test_a_dead_node_ends_the_other_with_a_message(two_nodes, tmp_path):
    first, second = two_nodes(num_epochs=100_000, val_size=4)
    deadline = time.monotonic() + 120
    while not (tmp_path / "node0" / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    second.send_signal(signal.SIGKILL)
    _, message = first.communicate(timeout=60)
    assert first.returncode == 1, message
    assert "torchmd-train: error: another process of this run was lost" in message
    assert "Traceback" not in message


@pytest.mark.parametrize("name", ["RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK"])
def test_the_launcher_says_who_writes(monkeypatch, name):
    assert is_rank_zero()
    monkeypatch.setenv(name, "1")
    assert not is_rank_zero()
    monkeypatch.setenv(name, "0")
    assert is_rank_zero()
