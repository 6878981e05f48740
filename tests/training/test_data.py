"""The data module: data set, split, reference energies, loaders, and errors before training starts."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from dataset_files import METHANE, WATER, molecules, write_custom, write_extxyz, write_hdf5
from torch_geometric.data import Batch, Data

from torchmdnet.datasets import DatasetError
from torchmdnet.training.data import DataModule

NO_STRESS = {"stress_key": "none"}


def options(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """Ten frames of water and ten of methane."""
    path = tmp_path / "train.xyz"
    if not path.exists():
        write_extxyz(path, molecules(WATER, count=10, seed=0), molecules(METHANE, count=10, seed=1))
    defaults = {
        "dataset": "ExtXYZ",
        "dataset_root": str(path),
        "log_dir": str(tmp_path / "log"),
        "batch_size": 4,
        "val_size": 4,
        "test_size": 3,
        "seed": 5,
    }
    return defaults | changes


def ready(tmp_path: Path, **changes: Any) -> DataModule:
    data = DataModule(options(tmp_path, **changes))
    data.setup("fit")
    return data


def frames(loader: Any) -> list[int]:
    return [frame for batch in loader for frame in batch.frame.tolist()]


def test_splits_are_drawn_and_written(tmp_path: Path) -> None:
    data = ready(tmp_path)
    assert [len(part) for part in (data.idx_train, data.idx_val, data.idx_test)] == [13, 4, 3]
    with np.load(tmp_path / "log" / "splits.npz") as written:
        assert written["idx_test"].tolist() == data.idx_test.tolist()


def test_written_splits_can_be_used_again(tmp_path: Path) -> None:
    data = ready(tmp_path)
    again = ready(tmp_path, splits=str(tmp_path / "log" / "splits.npz"), seed=99, log_dir=str(tmp_path / "other"))
    assert again.idx_train.tolist() == data.idx_train.tolist()


def test_each_loader_visits_its_frames_once(tmp_path: Path) -> None:
    data = ready(tmp_path, inference_batch_size=2)
    assert sorted(frames(data.train_dataloader())) == sorted(data.idx_train.tolist())
    assert frames(data.val_dataloader()[0]) == data.idx_val.tolist()
    assert frames(data.test_dataloader()) == data.idx_test.tolist()
    assert [batch.num_graphs for batch in data.val_dataloader()[0]] == [2, 2]
    assert [batch.num_graphs for batch in data.train_dataloader()] == [4, 4, 4, 1]


def test_no_validation_or_test_frames_give_no_loaders(tmp_path: Path) -> None:
    data = ready(tmp_path, val_size=0, test_size=0)
    assert data.val_dataloader() == []
    assert data.test_dataloader() == []


def test_workers_give_the_same_batches(tmp_path: Path) -> None:
    alone, workers = ready(tmp_path).train_dataloader(), ready(tmp_path, num_workers=1).train_dataloader()
    for number in range(2):
        alone.order.set_epoch(number)
        workers.order.set_epoch(number)
        for one, other in zip(alone, workers, strict=True):
            assert torch.equal(one.pos, other.pos)


def test_loading_leaves_the_global_random_numbers_alone(tmp_path: Path) -> None:
    loader = ready(tmp_path).train_dataloader()
    state = torch.get_rng_state()
    list(loader)
    assert torch.equal(torch.get_rng_state(), state)


def test_separate_files_are_held_out_whole(tmp_path: Path) -> None:
    write_extxyz(tmp_path / "val.xyz", molecules(WATER, count=3, seed=2))
    write_extxyz(tmp_path / "test.xyz", molecules(METHANE, count=2, seed=3))
    data = ready(
        tmp_path, val_dataset_root=str(tmp_path / "val.xyz"), test_dataset_root=str(tmp_path / "test.xyz"), splits=None
    )
    assert sorted(data.idx_train.tolist()) == list(range(20))
    assert data.idx_val.tolist() == [20, 21, 22]
    assert data.dataset.frame_name(data.idx_test[1]) == "test.xyz, frame 1"


def test_with_separate_validation_files_the_rest_is_training(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "a.h5", molecules(WATER, count=10, seed=2))
    write_hdf5(tmp_path / "b.h5", molecules(WATER, count=3, seed=3))
    data = ready(tmp_path, dataset="HDF5", dataset_root=str(tmp_path / "a.h5"), val_dataset_root=str(tmp_path / "b.h5"))
    assert [len(part) for part in (data.idx_train, data.idx_val, data.idx_test)] == [10, 3, 0]


def test_with_separate_test_files_validation_is_drawn(tmp_path: Path) -> None:
    write_extxyz(tmp_path / "test.xyz", molecules(METHANE, count=2, seed=3))
    data = ready(tmp_path, test_dataset_root=str(tmp_path / "test.xyz"))
    assert [len(part) for part in (data.idx_train, data.idx_val, data.idx_test)] == [16, 4, 2]


def test_standardize_gives_mean_and_unbiased_deviation_of_the_training_energies(tmp_path: Path) -> None:
    data = ready(tmp_path, standardize=True)
    energies = data.dataset.energies()[data.idx_train]
    assert data.mean is not None
    assert data.std is not None
    assert data.mean.shape == data.std.shape == (1,)
    assert torch.allclose(data.mean, energies.mean())
    assert torch.allclose(data.std, energies.std(unbiased=True))


def test_standardize_takes_reference_energies_off_first(tmp_path: Path) -> None:
    table = np.zeros(10)
    table[[1, 6, 8]] = -13.0, -1000.0, -2000.0
    path = write_hdf5(tmp_path / "a.h5", molecules(WATER, count=10, seed=2), atomref=table)
    data = ready(tmp_path, dataset="HDF5", dataset_root=str(path), standardize=True, prior_model="Atomref", max_z=20)
    energies = data.dataset.energies()[data.idx_train] + 2026.0
    assert data.mean is not None
    assert torch.allclose(data.mean, energies.mean())


def test_without_standardize_there_is_no_mean(tmp_path: Path) -> None:
    assert ready(tmp_path).mean is None


def test_reference_energies_are_fitted_to_the_training_energies(tmp_path: Path) -> None:
    data = ready(tmp_path, prior_model="Atomref", max_z=20)
    table = data.dataset.get_atomref(20)
    assert table.shape == (20, 1)
    residuals = torch.stack([data.dataset[i].y.sum() - table[data.dataset[i].z].sum() for i in data.idx_train])
    assert residuals.abs().max() < 5.0


def test_reference_energies_of_the_data_set_win(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "a.h5", molecules(WATER, count=10, seed=2), atomref=np.arange(10.0))
    data = ready(tmp_path, dataset="HDF5", dataset_root=str(path), prior_model={"Atomref": {}})
    assert data.atomref[:10].flatten().tolist() == list(range(10))


def test_a_users_own_data_set_is_used(tmp_path: Path) -> None:
    class Own(torch.utils.data.Dataset[Data]):
        def __len__(self) -> int:
            return 12

        def __getitem__(self, index: int) -> Data:
            return Data(z=torch.tensor([1, 1]), pos=torch.rand(2, 3), y=torch.tensor([float(index)]))

    data = DataModule(options(tmp_path, val_size=2, test_size=2, standardize=True), dataset=Own())
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch, Batch)
    assert batch.y.shape == (4, 1)
    assert batch.y.flatten().tolist() == [float(frame) for frame in batch.frame]
    assert data.dataset.frame_name(3) == "Own, frame 3"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"dataset": "extxyz"}, ValueError, r"dataset: 'extxyz' is none of HDF5, .*; did you mean 'ExtXYZ'\?"),
        ({"dataset": None}, ValueError, "dataset: no data set is named; choose one of HDF5, Custom, QM9, "),
        ({"dataset_root": "nope/*.xyz"}, FileNotFoundError, r"dataset_root: no file matches 'nope/\*\.xyz'"),
        ({"val_dataset_root": "nope.xyz"}, FileNotFoundError, "val_dataset_root: there is no file 'nope.xyz'"),
        ({"dataset_arg": {"enrgy_key": "E"}}, ValueError, "'enrgy_key' is not an argument of ExtXYZ .*'energy_key'"),
        ({"max_z": 8}, DatasetError, "max_z: 8 allows .* up to 7, but there is 8 .* max_z to 9: train.xyz, frame 0"),
        ({"dataset_arg": {"charge_key": "none"}, "charge": True}, DatasetError, "charge: true, but .* has no charges"),
        ({"dataset_arg": {"spin_key": "none"}, "spin": True}, DatasetError, "spin: true, but .* has no spins"),
        (
            {"dataset_arg": {"forces_key": "none"}, "derivative": True},
            DatasetError,
            "neg_dy_weight: 1.0, but .* no forces",
        ),
        (
            {"dataset_arg": NO_STRESS, "stress_weight": 1.0, "derivative": True},
            DatasetError,
            "1.0, but .* no stress",
        ),
        ({"dataset_arg": {"energy_key": "none"}, "standardize": True}, DatasetError, "no energies"),
        ({"train_size": 30}, ValueError, "train_size: 30, val_size: 4, test_size: 3 ask for 17 more frames"),
        ({"splits": "nope.npz"}, FileNotFoundError, "splits: there is no file 'nope.npz'"),
        ({"test_interval": 2, "val_size": 0}, ValueError, "test_interval: the test set is evaluated along with"),
        ({"dataset": "Custom"}, ValueError, "coord_files: Custom needs a pattern"),
    ],
)
def test_wrong_options_are_told_before_training(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ready(tmp_path, **changes)


def test_a_file_both_trained_on_and_held_out_is_refused(tmp_path: Path) -> None:
    path = options(tmp_path)["dataset_root"]
    with pytest.raises(ValueError, match="is named by both dataset_root and val_dataset_root"):
        ready(tmp_path, val_dataset_root=path)


def test_custom_takes_its_four_options(tmp_path: Path) -> None:
    globs = write_custom(tmp_path, molecules(WATER, count=9, seed=0))
    names = {"coordglob": "coord_files", "embedglob": "embed_files", "energyglob": "energy_files"}
    given = {option: globs[key] for key, option in names.items()} | {"force_files": globs["forceglob"]}
    data = ready(tmp_path, dataset="Custom", **given)
    assert "neg_dy" in data.dataset.fields
    with pytest.raises(DatasetError, match="forces"):
        ready(tmp_path, dataset="Custom", **(given | {"force_files": None}), derivative=True)


class Recorder(pl.LightningModule):
    """Notes the frames it is given; learns nothing of use."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[list[int]] = []
        self.tested: list[int] = []

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        self.seen.append(batch.frame.tolist())
        return (self.weight - batch.y.mean()) ** 2

    def validation_step(self, batch: Batch, _: int, dataloader_idx: int = 0) -> None:
        if dataloader_idx:
            self.tested.append(self.current_epoch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveAt(pl.Callback):
    """Writes a checkpoint after a number of steps."""

    def __init__(self, step: int, path: Path) -> None:
        self.step = step
        self.path = path

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


def fit(data: DataModule, folder: Path, *, resume: Path | None = None, **arguments: Any) -> Recorder:
    module = Recorder()
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
        num_sanity_val_steps=0,
        **arguments,
    )
    trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    return module


# Lightning advises on the number of workers and on checkpoints in the middle of an epoch
quiet = pytest.mark.filterwarnings("ignore:.*")


@quiet
def test_each_epoch_of_a_run_has_its_own_order(tmp_path: Path) -> None:
    seen = fit(ready(tmp_path), tmp_path, max_epochs=2).seen
    first, second = np.concatenate(seen[:4]), np.concatenate(seen[4:])
    assert sorted(first) == sorted(second)
    assert first.tolist() != second.tolist()


@quiet
@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("steps", [4, 6])
def test_a_resumed_run_sees_the_frames_of_an_uninterrupted_one(tmp_path: Path, steps: int, num_workers: int) -> None:
    path = tmp_path / "stopped.ckpt"
    whole = fit(ready(tmp_path), tmp_path, max_epochs=3, callbacks=[SaveAt(steps, path)])
    resumed = fit(ready(tmp_path, num_workers=num_workers), tmp_path, max_epochs=3, resume=path)
    assert resumed.seen == whole.seen[steps:]
    assert torch.equal(resumed.weight, whole.weight)


@quiet
def test_the_test_set_is_evaluated_every_few_epochs(tmp_path: Path) -> None:
    module = fit(ready(tmp_path, test_interval=2), tmp_path, max_epochs=5, reload_dataloaders_every_n_epochs=1)
    assert module.tested == [2, 4]
