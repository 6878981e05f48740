"""Two processes that act as two machines."""

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from torchmdnet.training.distributed import is_rank_zero
from torchmdnet.training.run import train

CABLE = """
link add left{id} type veth peer name right{id}
link set left{id} netns left{id}
link set right{id} netns right{id}
-n left{id} addr add 10.99.0.1/24 dev left{id}
-n right{id} addr add 10.99.0.2/24 dev right{id}
-n left{id} link set left{id} up
-n right{id} link set right{id} up
-n left{id} link set lo up
-n right{id} link set lo up
"""
"""Arguments of ``ip`` that join two network namespaces."""


TRAIN = """
import os, sys
from torchmdnet.scripts.train import main
from torchmdnet.training.module import LNNP

step = LNNP.training_step

def recorded(self, batch, batch_idx):
    with open(f"frames{os.environ['NODE_RANK']}", "a") as file:
        print(self.current_epoch, *batch.frame.tolist(), file=file)
    return step(self, batch, batch_idx)

LNNP.training_step = recorded
sys.exit(main())
"""
"""The command, which also writes down the frames that it trains on."""


def ip(arguments):
    return subprocess.run(["ip", *arguments.split()], capture_output=True, check=False).returncode == 0


@pytest.fixture
def hosts():
    """Words before a command, and address and network device, of two machines.

    They are two network namespaces where these may be made, or else this machine twice.
    """
    number = os.getpid() % 10000
    names = [f"left{number}", f"right{number}"]
    made = shutil.which("ip") is not None and all(ip(f"netns add {name}") for name in names)
    if made and all(ip(line.format(id=number)) for line in CABLE.strip().splitlines()):
        yield [(["ip", "netns", "exec", name], "10.99.0.1", name) for name in names]
    else:
        yield [([], "127.0.0.1", "lo")] * 2
    if made:
        for name in names:
            ip(f"netns del {name}")


@pytest.fixture
def two_nodes(hosts, options, write_yaml, tmp_path):
    """Function that starts both processes; each node has a log folder of its own, as without a shared disk."""
    started = []

    def start(**given):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for rank, (prefix, address, device) in enumerate(hosts):
            folder = tmp_path / f"node{rank}"
            conf = write_yaml(options | given | {"num_nodes": 2, "log_dir": str(folder)}, f"node{rank}.yaml")
            variables = {"NODE_RANK": str(rank), "MASTER_ADDR": address, "MASTER_PORT": str(port)}
            process = subprocess.Popen(
                [*prefix, sys.executable, "-c", TRAIN, "--conf", str(conf)],
                cwd=tmp_path,  # not the sources: what is installed is run
                env=os.environ | variables | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": device},
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


def frames(folder, *, epoch):
    """Frames that each node trained on in one epoch."""
    lines = [[line.split() for line in (folder / f"frames{rank}").read_text().splitlines()] for rank in (0, 1)]
    return [[int(frame) for line in node if line[0] == str(epoch) for frame in line[1:]] for node in lines]


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
    training = np.load(tmp_path / "node0" / "splits.npz")["idx_train"]
    for epoch in range(3):
        first, second = frames(tmp_path, epoch=epoch)
        assert sorted(first + second) == sorted(training), "every frame once an epoch"
        assert first
        assert second
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
