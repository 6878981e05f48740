"""The learning rate over a run."""

import pytest
import torch

from torchmdnet.training.schedules import LearningRate


def make(num_steps=100, **given):
    options = {
        "lr": 1e-2,
        "lr_min": 1e-4,
        "lr_factor": 0.5,
        "lr_patience": 1,
        "lr_warmup_steps": 0,
        "lr_scheduler": "plateau",
    } | given
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=options["lr"])
    return LearningRate(optimizer, options, num_steps=num_steps)


def rates(schedule, steps):
    values = []
    for step in steps:
        schedule.before_step(step)
        values.append(schedule.value)
    return values


@pytest.mark.parametrize("scheduler", ["plateau", "constant"])
def test_rises_linearly_in_the_warm_up(scheduler):
    assert rates(make(lr_warmup_steps=4, lr_scheduler=scheduler), range(6)) == pytest.approx(
        [0.25e-2, 0.5e-2, 0.75e-2, 1e-2, 1e-2, 1e-2]
    )


def test_falls_after_more_than_patience_epochs_without_gain():
    schedule = make()
    values = []
    for metric in (1.0, 1.0, 1.0, 0.5, 0.5, 0.5):
        schedule.after_epoch(metric)
        values.append(schedule.value)
    assert values == pytest.approx([1e-2, 1e-2, 0.5e-2, 0.5e-2, 0.5e-2, 0.25e-2])


def test_never_falls_below_the_lowest_rate():
    schedule = make(lr_patience=0)
    for _ in range(30):
        schedule.after_epoch(1.0)
    assert schedule.value == pytest.approx(1e-4)


def test_cosine_ends_at_the_lowest_rate():
    values = rates(make(lr_scheduler="cosine"), [0, 50, 100])
    assert values == pytest.approx([1e-2, (1e-2 + 1e-4) / 2, 1e-4])


def test_constant_stays():
    schedule = make(lr_scheduler="constant", lr_patience=0)
    for _ in range(5):
        schedule.after_epoch(1.0)
    assert schedule.value == 1e-2


def test_goes_on_counting_from_its_state():
    first, second = make(), make()
    first.after_epoch(1.0)
    first.after_epoch(1.0)
    second.load_state_dict(first.state_dict())
    second.after_epoch(1.0)
    assert second.value == pytest.approx(0.5e-2)
