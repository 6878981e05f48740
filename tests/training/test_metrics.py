"""Means over an epoch."""

import torch

from torchmdnet.training.metrics import EpochMeans


def test_batches_weigh_alike():
    means = EpochMeans()
    for value in (1.0, 2.0, 6.0):
        means.add("loss", torch.tensor(value))
    assert means.collect() == {"loss": 3.0}


def test_starts_anew_after_collecting():
    means = EpochMeans()
    means.add("loss", torch.tensor(1.0))
    means.collect()
    assert means.collect() == {}


def test_keeps_no_graph():
    means = EpochMeans()
    means.add("loss", torch.tensor(1.0, requires_grad=True) * 2)
    assert means.collect() == {"loss": 2.0}
