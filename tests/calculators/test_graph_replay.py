"""A recorded model gives the numbers of one that is not, whatever comes next. No GPU: see graph_stand_in.py."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from graph_stand_in import StandIn, stand_ins
from tiny import small_model
from torch import Tensor

from torchmdnet.calculators import External
from torchmdnet.calculators.graph_replay import GraphReplay
from torchmdnet.models import MODELS
from torchmdnet.neighbors import use_skin
from torchmdnet.potential import Ensemble, TorchMD_Net
from torchmdnet.priors.base import BasePrior

NUM_REPLICAS, NUM_ATOMS = 2, 24


@pytest.fixture(autouse=True)
def recorders() -> Iterator[list[StandIn]]:
    with stand_ins() as made:
        yield made


@pytest.fixture
def quick() -> TorchMD_Net:
    """A model that is recorded in no time."""
    return small_model(model="graph-network")


@pytest.fixture
def z() -> Tensor:
    return torch.randint(1, 9, (NUM_REPLICAS, NUM_ATOMS), generator=torch.Generator().manual_seed(0))


def positions(seed: int, *, extent: float = 12.0) -> Tensor:
    """Atoms strewn over a cube, alike for seeds of one ten. (R, n, 3)"""
    shape = (NUM_REPLICAS, NUM_ATOMS, 3)
    places = torch.rand(shape, generator=torch.Generator().manual_seed(seed // 10), dtype=torch.float64)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return extent * places + 0.05 * noise


def boxes(seed: int) -> Tensor:
    """A triclinic cell for each replica. (R, 3, 3)"""
    noise = torch.randn((NUM_REPLICAS, 3, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 11 * torch.eye(3, dtype=torch.float64) + 0.5 * noise


def both(source: Any, z: Tensor, **options: Any) -> tuple[External, External]:
    """Recorded, and not."""
    recorded = External(source, z, use_cuda_graph=True, cuda_graph_warmup_steps=1, **options)
    return recorded, External(source, z, **options)


def assert_same(recorded: External, plain: External, *arguments: Tensor | None, tolerance: float = 1e-10) -> None:
    for got, expected in zip(recorded.calculate(*arguments), plain.calculate(*arguments), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("tables", [False, True])
def test_every_model_gives_the_same_numbers(name: str, tables: bool, z: Tensor, recorders: list[StandIn]) -> None:
    """Recording fails where anything is read back, so that nothing is."""
    recorded, plain = both(small_model(model=name, num_heads=2), z, radial_tables=tables)
    for step in range(3):
        assert_same(recorded, plain, positions(step), boxes(step))
    assert (recorders[0].recordings, recorders[0].replays) == (1, 3)


@pytest.mark.parametrize("name", MODELS)
def test_a_list_that_overflowed_is_searched_again_and_nothing_wrong_returned(
    name: str, z: Tensor, recorders: list[StandIn]
) -> None:
    recorded, plain = both(small_model(model=name, num_heads=2), z, radial_tables=True)
    assert_same(recorded, plain, positions(0, extent=40.0))
    for step in range(2):
        assert_same(recorded, plain, positions(step, extent=4.0))
    assert (recorders[0].recordings, recorders[0].replays) == (2, 4)


def test_float32_from_tables_is_the_default(z: Tensor) -> None:
    recorded, plain = both(small_model(precision=32).float(), z)
    assert any(name.endswith(".table") for name, _ in recorded.model.named_buffers())
    assert_same(recorded, plain, positions(0), tolerance=1e-5)


def test_a_cell_that_changes_is_copied_in(quick: TorchMD_Net, z: Tensor, recorders: list[StandIn]) -> None:
    recorded, plain = both(quick, z)
    for step in range(4):
        assert_same(recorded, plain, positions(0), boxes(step)[0])
    assert recorders[0].recordings == 1


def test_a_cell_that_appears_or_vanishes_records_anew(quick: TorchMD_Net, z: Tensor, recorders: list[StandIn]) -> None:
    recorded, plain = both(quick, z)
    for step, box in enumerate([None, boxes(0), boxes(1), None]):
        assert_same(recorded, plain, positions(step), box)
    assert recorders[0].recordings == 3


@pytest.mark.parametrize(
    ("replicas", "atoms"), [(NUM_REPLICAS, NUM_ATOMS - 2), (1, NUM_ATOMS), (NUM_REPLICAS, NUM_ATOMS)]
)
def test_other_atoms_record_anew(
    quick: TorchMD_Net, z: Tensor, recorders: list[StandIn], replicas: int, atoms: int
) -> None:
    recorded, plain = both(quick, z)
    assert_same(recorded, plain, positions(0), boxes(0))
    for external in (recorded, plain):
        external.embeddings = z[:replicas, :atoms] % 7 + 1
    assert (recorded.num_replicas, recorded.num_atoms) == (replicas, atoms)
    for step in range(2):
        assert_same(recorded, plain, positions(step)[:replicas, :atoms], boxes(step)[:replicas])
    assert (recorders[0].recordings, recorders[0].replays) == (2, 3)


def test_atoms_that_make_no_sense_are_refused_and_the_old_ones_stay(quick: TorchMD_Net, z: Tensor) -> None:
    recorded, plain = both(quick, z)
    with pytest.raises(ValueError, match=r"embeddings: got shape \(3,\), expected \(replicas, atoms\)"):
        recorded.embeddings = [1, 1, 8]
    assert_same(recorded, plain, positions(0))


def test_a_default_cell_of_the_model_is_used(z: Tensor) -> None:
    cell = [[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [1.0, 0.0, 9.0]]
    recorded, plain = both(small_model(box_vecs=cell), z)
    assert_same(recorded, plain, positions(0))
    bare = External(small_model(), z).calculate(positions(0))[0]
    assert not torch.allclose(recorded.calculate(positions(0))[0], bare)


def test_a_skin_of_the_given_model_is_left_out_of_what_is_recorded(quick: TorchMD_Net, z: Tensor) -> None:
    use_skin(quick, skin=1.0)
    recorded, plain = both(quick, z)
    for seed in (0, 1, 20):
        assert_same(recorded, plain, positions(seed))
    skins = [external.model.representation_model.distance.skin for external in (recorded, plain)]
    assert skins == [0.0, 1.0]
    assert quick.representation_model.distance.skin == 1.0


def test_an_ensemble_gives_the_same_mean(z: Tensor) -> None:
    recorded, plain = both(Ensemble([small_model(seed, model="graph-network") for seed in range(3)]), z)
    assert_same(recorded, plain, positions(0))
    assert_same(recorded, plain, positions(1, extent=4.0))


def test_the_output_is_transformed(quick: TorchMD_Net, z: Tensor) -> None:
    recorded, plain = both(quick, z, output_transform="eV/A -> kcal/mol/A")
    assert_same(recorded, plain, positions(0), tolerance=1e-8)
    assert_same(recorded, plain, positions(1), tolerance=1e-8)


@pytest.mark.parametrize("prior", ["Atomref", "ZBL", "D2"])
def test_priors_are_recorded(prior: str, z: Tensor) -> None:
    units = {"distance_scale": 1e-10, "energy_scale": 1.602176634e-19}
    options = {"max_z": 20} if prior == "Atomref" else units | {"cutoff_distance": 3.0, "max_num_neighbors": 10}
    recorded, plain = both(small_model(model="graph-network", prior_model={prior: options}), z)
    for step in range(2):
        assert_same(recorded, plain, positions(step))
    assert_same(recorded, plain, positions(2, extent=5.0))


def test_charges_without_a_cutoff_are_recorded(z: Tensor) -> None:
    options = {"model": "tensornet2", "output_model": "ScalarPlusWeightedCoulomb", "q_dim": 2}
    recorded, plain = both(small_model(**options, q_weights=[1.0, 1.0]), z)
    for step in range(2):
        assert_same(recorded, plain, positions(step))


def test_results_belong_to_the_caller(quick: TorchMD_Net, z: Tensor) -> None:
    recorded, plain = both(quick, z)
    first, pos = recorded.calculate(positions(0)), positions(1)
    recorded.calculate(pos)[1].zero_()
    assert torch.equal(pos, positions(1))
    torch.testing.assert_close(first, plain.calculate(positions(0)))


def test_positions_may_be_tracked_or_from_inference_mode(quick: TorchMD_Net, z: Tensor) -> None:
    recorded, plain = both(quick, z)
    with torch.inference_mode():
        assert_same(recorded, plain, positions(0))
        made_here = positions(1)
    assert_same(recorded, plain, made_here)
    assert_same(recorded, plain, positions(2).requires_grad_())


def test_positions_that_are_wrong_are_told_and_the_recording_stays(
    quick: TorchMD_Net, z: Tensor, recorders: list[StandIn]
) -> None:
    recorded, plain = both(quick, z)
    assert_same(recorded, plain, positions(0))
    broken = positions(1)
    broken[1, 3, 0] = torch.nan
    with pytest.raises(ValueError, match=f"position of atom {NUM_ATOMS + 3} is NaN"):
        recorded.calculate(broken)
    assert_same(recorded, plain, positions(2))
    assert recorders[0].recordings == 1


def test_a_first_call_that_fails_leaves_nothing_behind(quick: TorchMD_Net, z: Tensor) -> None:
    recorded, plain = both(quick, z)
    with pytest.raises(ValueError, match="position of atom 0 is NaN"):
        recorded.calculate(positions(0) * torch.nan)
    assert_same(recorded, plain, positions(0))


def test_it_is_called_as_often_as_asked_before(quick: TorchMD_Net, z: Tensor, recorders: list[StandIn]) -> None:
    External(quick, z, "cpu", None, True, 7).calculate(positions(0))
    assert recorders[0].calls == 7


@pytest.mark.parametrize("steps", [0, 2.5, "12"])
def test_a_warm_up_without_a_call_is_refused(quick: TorchMD_Net, z: Tensor, steps: Any) -> None:
    with pytest.raises(ValueError, match=f"cuda_graph_warmup_steps: got {steps!r}, expected an integer of at least 1"):
        External(quick, z, use_cuda_graph=True, cuda_graph_warmup_steps=steps)


class Reader(BasePrior):
    """Decides by a number."""

    def pre_reduce(self, x: Tensor, z: Tensor, pos: Tensor, *_: Any) -> Tensor:
        return x if bool(pos.sum() > 0) else 2 * x


def test_a_model_that_reads_numbers_cannot_be_recorded_and_is_named(quick: TorchMD_Net, z: Tensor) -> None:
    model = TorchMD_Net(quick.representation_model, quick.output_model, prior_model=Reader(), dtype=torch.float64)
    recorded, _ = both(model.eval(), z)
    with pytest.raises(RuntimeError, match=r"TorchMD_GN, Scalar, Reader cannot be captured.*leave use_cuda_graph out"):
        recorded.calculate(positions(0))


def test_a_prior_whose_arrays_depend_on_numbers_is_named(z: Tensor) -> None:
    options = {"functional": "pbe", "distance_scale": 1e-10, "energy_scale": 1.602176634e-19}
    recorded, _ = both(small_model(model="graph-network", prior_model={"D3": options}), z)
    with pytest.raises(RuntimeError, match="TorchMD_GN, Scalar, D3 cannot be captured"):
        recorded.calculate(positions(0))


def test_a_copy_records_for_itself(quick: TorchMD_Net, z: Tensor, recorders: list[StandIn]) -> None:
    recorded, plain = both(quick, z)
    assert_same(recorded, plain, positions(0))
    copied = copy.deepcopy(recorded)
    assert_same(copied, plain, positions(1))
    copied.model.std.fill_(3.0)
    assert_same(recorded, plain, positions(2))


class NeverFits(StandIn):
    def replay(self) -> None:
        super().replay()
        self._outputs.is_faulty.fill_(True)


def test_what_never_fits_is_an_error_and_no_endless_loop(quick: TorchMD_Net, z: Tensor) -> None:
    batch = torch.arange(NUM_REPLICAS).repeat_interleave(NUM_ATOMS)
    replay = GraphReplay(
        quick, z.flatten(), batch=batch, num_systems=NUM_REPLICAS, recorder=NeverFits(), warmup_steps=1
    )
    with pytest.raises(RuntimeError, match="cannot hold the atoms that it was recorded with"):
        replay(positions(0).flatten(0, 1))
