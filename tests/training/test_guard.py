"""NaN stops the run and names the frames."""

import pytest
import torch

from torchmdnet.training.guard import FiniteGuard, NonFiniteError

FRAMES = torch.tensor([4, 7])
NAN = torch.tensor(float("nan"))


def test_names_value_and_frames_of_the_batch():
    guard = FiniteGuard("data.xyz, frame {}".format)
    with pytest.raises(
        NonFiniteError, match=r"training loss is nan, in the batch of data.xyz, frame 4; data.xyz, frame 7"
    ):
        guard.watch("training loss", NAN, frames=FRAMES)


def test_finds_infinity():
    with pytest.raises(NonFiniteError, match="gradient is inf"):
        FiniteGuard().watch("gradient", torch.tensor(float("inf")), frames=FRAMES)


def test_lets_finite_values_pass():
    guard = FiniteGuard()
    guard.watch("loss", torch.tensor(1e30), frames=FRAMES)
    guard.check()


def test_with_an_interval_names_the_first_bad_batch():
    guard = FiniteGuard(interval=3)
    guard.watch("loss", torch.tensor(1.0), frames=torch.tensor([0]))
    guard.watch("loss", NAN, frames=torch.tensor([1]))
    with pytest.raises(NonFiniteError, match="in the batch of frame 1;"):
        guard.watch("loss", NAN, frames=torch.tensor([2]))


def test_check_looks_before_the_interval_is_full():
    guard = FiniteGuard(interval=100)
    guard.watch("loss", NAN, frames=None)
    with pytest.raises(NonFiniteError, match="unknown frames"):
        guard.check()


def test_shortens_a_long_list_of_frames():
    with pytest.raises(NonFiniteError, match="frame 7 and 92 more"):
        FiniteGuard().watch("loss", NAN, frames=torch.arange(100))
