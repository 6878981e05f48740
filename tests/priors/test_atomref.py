"""Reference energies of elements, given, fitted or learnt."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchmdnet.priors import Atomref, LearnableAtomref, fit_atomref


class DatasetWithTable:
    def get_atomref(self) -> Tensor:
        return torch.arange(10, dtype=torch.float64).unsqueeze(1)


class DatasetWithout:
    def get_atomref(self) -> None:
        return None


def add(prior: Atomref, z: list[int]) -> list[float]:
    n = len(z)
    x = torch.zeros((n, 1), dtype=torch.float64)
    batch = torch.zeros(n, dtype=torch.int64)
    result: list[float] = prior.double().pre_reduce(x, torch.tensor(z), torch.zeros((n, 3)), batch).squeeze(1).tolist()
    return result


def test_adds_the_energy_of_each_element() -> None:
    assert add(Atomref(dataset=DatasetWithTable()), [1, 6, 1]) == [1.0, 6.0, 1.0]


@pytest.mark.parametrize("dataset", [None, object(), DatasetWithout()])
def test_is_zero_when_the_data_set_has_no_table(dataset: object) -> None:
    prior = Atomref(dataset=dataset)
    assert prior.initial_atomref.shape == (100, 1)
    assert add(prior, [8]) == [0.0]


def test_fits_the_table_of_the_data_set_to_its_own_length() -> None:
    assert add(Atomref(max_z=4, dataset=DatasetWithTable()), [3]) == [3.0]
    assert add(Atomref(max_z=20, dataset=DatasetWithTable()), [9, 15]) == [9.0, 0.0]


def test_takes_a_table_later_and_comes_back_to_it() -> None:
    prior = Atomref(max_z=9, trainable=True)
    prior.set_reference(torch.full((9, 1), -2.0))
    with torch.no_grad():
        prior.atomref.weight.zero_()
    prior.reset_parameters()
    assert add(prior, [4]) == [-2.0]


def test_disabled_only_carries_the_table() -> None:
    prior = Atomref(dataset=DatasetWithTable(), enable=False)
    assert add(prior, [6]) == [0.0]
    assert prior.atomref.weight[6] == 6.0


def test_only_trains_on_demand() -> None:
    assert not Atomref().atomref.weight.requires_grad
    assert Atomref(trainable=True).atomref.weight.requires_grad
    assert LearnableAtomref(dataset=DatasetWithTable()).atomref.weight.requires_grad


def test_learnable_starts_at_zero_whatever_the_data_set_says() -> None:
    assert not LearnableAtomref(max_z=10, dataset=DatasetWithTable()).atomref.weight.any()


def test_state_has_the_contracts_names() -> None:
    assert {k: tuple(v.shape) for k, v in Atomref(max_z=7).state_dict().items()} == {
        "initial_atomref": (7, 1),
        "atomref.weight": (7, 1),
    }


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (torch.zeros((3, 2)), r"reference energies must have shape \(Z, 1\), not \(3, 2\)"),
        (torch.tensor([0.0, torch.nan]), "the reference energy of atomic number 1 is NaN"),
    ],
)
def test_refuses_a_table_that_is_none(table: Tensor, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Atomref(max_z=5).set_reference(table)


def test_names_the_element_that_is_beyond_the_table() -> None:
    with pytest.raises(ValueError, match="Atomref has no energy for atomic number 53: its 'max_z' is 10"):
        add(Atomref(max_z=10), [53])


def molecules(counts: dict[int, list[int]]) -> tuple[Tensor, Tensor]:
    """From the number of atoms of each element in each system to z and batch, shuffled."""
    z = torch.cat([torch.repeat_interleave(torch.tensor(n)).new_full((sum(n),), k) for k, n in counts.items()])
    batch = torch.cat([torch.repeat_interleave(torch.tensor(n)) for n in counts.values()])
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(0))
    return z[order], batch[order]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000))
def test_fit_recovers_energies_that_the_data_determine(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    numbers = torch.randint(0, 7, (3, 12), generator=random)
    numbers[:, :3] = torch.eye(3, dtype=torch.int64) + 1
    z, batch = molecules({1: numbers[0].tolist(), 6: numbers[1].tolist(), 8: numbers[2].tolist()})
    table = torch.tensor([-13.6, -1030.0, -2040.0], dtype=torch.float64)
    energies = (numbers.T.double() @ table).unsqueeze(1)
    fitted = fit_atomref(z, batch, energies, 100)
    torch.testing.assert_close(fitted[[1, 6, 8], 0], table, rtol=1e-9, atol=1e-7)
    assert fitted.shape == (100, 1)
    assert fitted.dtype == torch.float64
    assert int((fitted != 0).sum()) == 3


def test_one_composition_is_shared_evenly_by_all_atoms() -> None:
    z, batch = molecules({1: [4, 4], 6: [1, 1]})
    fitted = fit_atomref(z, batch, torch.tensor([-100.0, -102.0]), 10)
    torch.testing.assert_close(fitted[[1, 6], 0], torch.tensor([-20.2, -20.2], dtype=torch.float64))


def test_elements_in_fixed_ratio_leave_no_arbitrary_energies() -> None:
    """H2O and twice of it: two numbers cannot be had from one, and both stay near the mean per atom."""
    z, batch = molecules({1: [2, 4], 8: [1, 2]})
    fitted = fit_atomref(z, batch, torch.tensor([-30.0, -60.0]), 10)
    torch.testing.assert_close(fitted[[1, 8], 0], torch.tensor([-10.0, -10.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("z", "batch", "energies", "text"),
    [
        ([], [], [], "N > 0"),
        ([1], [1], [1.0], "batch holds system numbers 1 to 1 for 1 energies"),
        ([11], [0], [1.0], r"atomic numbers must be from 0 to 9 \(max_z 10\), not 11 to 11"),
        ([1, 1], [0, 1], [1.0, float("nan")], "the energy of system 1 is NaN"),
    ],
)
def test_fit_says_what_is_wrong(z: list[int], batch: list[int], energies: list[float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        fit_atomref(
            torch.tensor(z, dtype=torch.int64), torch.tensor(batch, dtype=torch.int64), torch.tensor(energies), 10
        )
