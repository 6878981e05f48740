"""Random generators are put back."""

import random

import numpy as np
import torch

from torchmdnet.training.rng import collect_rng_state, restore_rng_state


def draw():
    return random.random(), np.random.rand(), torch.rand(3).tolist()  # noqa: NPY002  the generator that Lightning seeds


def test_the_same_numbers_come_again():
    state = collect_rng_state()
    expected = draw()
    restore_rng_state(state)
    assert draw() == expected


def test_state_is_readable_without_pickled_code(tmp_path):
    torch.save(collect_rng_state(), tmp_path / "state")
    state = torch.load(tmp_path / "state", weights_only=True)
    expected = draw()
    restore_rng_state(state)
    assert draw() == expected
