"""What users of TorchMD-NET 3.1.0 stumble over on the command line: each case is right here, or one clear line."""

import h5py
import numpy as np
import pytest
import torch
import yaml
from ase.io import read, write

from torchmdnet.checkpoint import load_model
from torchmdnet.scripts.train import main


@pytest.fixture
def run(options, write_yaml):
    """Function that runs the command on a YAML file of options, None to leave one out, and further words."""

    def command(*words, **given):
        merged = {key: value for key, value in (options | given).items() if value is not ...}
        return main(["--conf", str(write_yaml(merged)), *words])

    return command


@pytest.fixture
def fails(run, capsys):
    """Function that runs the command, expects it to refuse its input, and returns the one line it says."""

    def command(*words, **given):
        assert run(*words, **given) == 2
        return one_line(capsys.readouterr().err)

    return command


def one_line(text):
    lines = [line for line in text.splitlines() if line.startswith("torchmd-train: error")]
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


def stored(log_dir, name="last.ckpt"):
    return torch.load(f"{log_dir}/{name}", weights_only=True)


# ----------------------------------------------------------------------------------------------------- machines


def test_the_defaults_run_on_a_machine_without_gpu(run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run(ngpus=..., accelerator=...) == 0


def test_more_gpus_than_there_are(fails, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert "ngpus: got 2, but this machine has no GPU" in fails(ngpus=2, accelerator="auto")


def test_no_gpu_for_accelerator_gpu(fails, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert "accelerator: got gpu, but there is no GPU" in fails(ngpus=1, accelerator="gpu")


def test_half_precision_on_the_cpu(fails):
    assert "precision: got 16, which needs a GPU; the CPU has bf16-mixed" in fails(precision=16)


# -------------------------------------------------------------------------------------------------- checkpoints


def test_fewer_epochs_than_the_save_interval_lose_no_weights(run, options):
    assert run(num_epochs=1, save_interval=10) == 0
    assert stored(options["log_dir"], "best.ckpt")["epoch"] == 0
    assert stored(options["log_dir"])["epoch"] == 0


def test_a_checkpoint_that_is_not_there_is_an_error(fails):
    assert "there is no checkpoint 'missing.ckpt'" in fails("--load-model", "missing.ckpt")


def test_a_file_that_is_no_checkpoint_is_an_error(fails, tmp_path):
    (tmp_path / "bad.ckpt").write_text("hello")
    assert "bad.ckpt' " in fails("--load-model", str(tmp_path / "bad.ckpt"))


def test_a_checkpoint_of_torchmd_net_is_not_resumed_by_half(run, fails, options, tmp_path):
    assert run(num_epochs=1) == 0
    content = stored(options["log_dir"])
    del content["rng"]
    torch.save(content, tmp_path / "foreign.ckpt")
    message = fails("--load-model", str(tmp_path / "foreign.ckpt"))
    assert "cannot be resumed; reset_trainer: true trains on from its weights" in message


@pytest.mark.parametrize("prior", ["D2", "ZBL"])
def test_a_run_with_a_pair_prior_is_resumed(run, options, prior):
    arguments = {"cutoff_distance": 3.0, "max_num_neighbors": 50, "atomic_number": list(range(10))}
    arguments |= {"distance_scale": 1e-10, "energy_scale": 1.602176634e-19}
    assert run(num_epochs=1, prior_model={prior: arguments}) == 0
    last = f"{options['log_dir']}/last.ckpt"
    assert main(["--load-model", last, "--num-epochs", "2"]) == 0
    assert stored(options["log_dir"])["epoch"] == 1
    load_model(last)


def test_a_run_is_resumed_when_its_best_epoch_is_an_older_one(run, options):
    assert run(num_epochs=3) == 0
    content = stored(options["log_dir"])
    (state,) = (value for key, value in content["callbacks"].items() if key.startswith("EpochCheckpoint"))
    state["best_score"] = -1.0
    torch.save(content, f"{options['log_dir']}/last.ckpt")
    best = stored(options["log_dir"], "best.ckpt")["epoch"]
    assert main(["--load-model", f"{options['log_dir']}/last.ckpt", "--num-epochs", "4"]) == 0
    assert stored(options["log_dir"], "best.ckpt")["epoch"] == best


def test_names_of_checkpoints_hold_no_test_loss_of_zero(run, options, tmp_path):
    assert run(num_epochs=1) == 0
    (name,) = [path.name for path in (tmp_path / "logs").glob("epoch=*")]
    assert name.startswith("epoch=0-val_loss=")
    assert "test_loss" not in name


# ------------------------------------------------------------------------------------------------------ options


def test_without_log_dir_writes_below_the_working_folder(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(log_dir=..., num_epochs=1) == 0
    assert (tmp_path / "logs" / "last.ckpt").exists()


@pytest.mark.parametrize("order", ["before", "after"])
def test_the_command_line_wins_in_any_order(options, write_yaml, order):
    words, conf = ["--num-epochs", "1"], ["--conf", str(write_yaml(options | {"num_epochs": 2}))]
    assert main([*words, *conf] if order == "before" else [*conf, *words]) == 0
    assert stored(options["log_dir"])["epoch"] == 0


def test_the_command_line_wins_over_the_checkpoint_in_any_order(run, options):
    assert run(num_epochs=1) == 0
    last = ["--load-model", f"{options['log_dir']}/last.ckpt"]
    assert main(["--num-epochs", "2", "--batch-size", "2", *last]) == 0
    assert stored(options["log_dir"])["hyper_parameters"]["batch_size"] == 2
    assert stored(options["log_dir"])["epoch"] == 1


@pytest.mark.parametrize("loss", ["l1_loss", "huber_loss"])
def test_monitors_follow_the_loss(run, options, loss):
    assert run(train_loss=loss, num_epochs=1) == 0
    assert f"val_total_{loss}" in (stored(options["log_dir"])["callbacks"]["EpochCheckpoint"]["monitor"])


def test_trains_without_validation_frames(run, options, tmp_path):
    assert run(val_size=0, num_epochs=2, early_stopping_patience=1) == 0
    assert next((tmp_path / "logs").glob("epoch=*")).name.startswith("epoch=1-train_loss=")


def test_dictionaries_on_the_command_line(run, options):
    words = ["--train-loss", "huber_loss", "--train-loss-arg", '{"delta": 0.1}']
    words += ["--dataset-arg", '{"energy_key": "energy"}', "--prior-model", '{"Atomref": {"max_z": 9}}']
    assert run(*words, num_epochs=1, prior_model=...) == 0
    options = stored(options["log_dir"])["hyper_parameters"]
    assert options["train_loss_arg"] == {"delta": 0.1}
    assert options["dataset_arg"] == {"energy_key": "energy"}
    assert options["prior_args"] == [{"max_z": 9, "trainable": False, "enable": True}]


def test_several_priors_on_the_command_line(run, options):
    assert run("--prior-model", "Atomref", "LearnableAtomref", num_epochs=1, prior_model=...) == 0
    assert len(stored(options["log_dir"])["hyper_parameters"]["prior_args"]) == 2


def test_an_argument_that_the_loss_does_not_have(fails):
    assert "huber_loss has no argument 'detla'" in fails(train_loss="huber_loss", train_loss_arg={"detla": 0.1})


def test_a_number_without_a_point_in_yaml(options, tmp_path):
    text = yaml.safe_dump({key: value for key, value in options.items() if key != "lr"} | {"num_epochs": 1})
    (tmp_path / "conf.yaml").write_text(text + "lr: 1e-3\n")
    assert main(["--conf", str(tmp_path / "conf.yaml")]) == 0
    assert stored(options["log_dir"])["hyper_parameters"]["lr"] == 1e-3


def test_redirect_writes_into_a_new_folder_and_prints_too(run, tmp_path, capsys):
    assert run(redirect=True, num_epochs=1) == 0
    text = (tmp_path / "logs" / "log").read_text()
    assert "epoch 1/1" in text
    assert "forces" in text
    assert "epoch 1/1" in capsys.readouterr().out


def test_the_example_yaml_with_a_dropped_key_runs_and_does_not_store_it(run, options):
    assert run(check_errors=True, num_epochs=1) == 0
    assert "check_errors" not in stored(options["log_dir"])["hyper_parameters"]


def test_an_unknown_option_names_the_nearest(fails):
    assert "batch_sise" in fails(batch_sise=4)
    assert "batch_size" in fails(batch_sise=4)


def test_a_time_limit_written_wrong(fails):
    assert "max_time: got '12:00:00', expected DD:HH:MM:SS" in fails(max_time="12:00:00")


# ------------------------------------------------------------------------------------------------------- models


def test_an_unknown_model_lists_those_there_are(fails):
    message = fails(model="tensornet-2")
    assert "model: got 'tensornet-2', expected one of " in message
    assert "tensornet" in message.split("expected")[1]


def test_a_coulomb_prior_is_trained_and_its_checkpoint_loads(run, options, tmp_path):
    frames = read(options["dataset_root"], ":")
    for atoms in frames:
        atoms.set_initial_charges(np.linspace(-0.1, 0.1, len(atoms)))
    write(tmp_path / "charged.xyz", frames)
    arguments = {"lower_switch_distance": 0.1, "upper_switch_distance": 0.3}
    arguments |= {"max_num_neighbors": 50, "distance_scale": 1e-10, "energy_scale": 1.602176634e-19}
    given = {"dataset_root": str(tmp_path / "charged.xyz"), "prior_model": [{"Coulomb": arguments}]}
    assert run(**given, dataset_arg={"partial_charges_key": "initial_charges"}, num_epochs=1) == 0
    load_model(f"{options['log_dir']}/best.ckpt")


def test_static_shapes_leave_training_as_it_is(run, tmp_path):
    weights = []
    for given in (False, True):
        folder = tmp_path / f"static_shapes_{given}"
        assert run(static_shapes=given, log_dir=str(folder)) == 0
        weights.append(stored(folder)["state_dict"])
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_learnable_atomref(run, options):
    assert run(prior_model="LearnableAtomref", num_epochs=1) == 0
    model = load_model(f"{options['log_dir']}/best.ckpt")
    assert model.prior_model[0].atomref.weight.any()


@pytest.mark.parametrize("head", ["Scalar", "ScalarPlusWeightedCoulomb"])
def test_tensornet2_trains_with_charges(run, options, tmp_path, head):
    frames = read(options["dataset_root"], ":")
    for number, atoms in enumerate(frames):
        atoms.info["charge"] = number % 3 - 1
    write(tmp_path / "charged.xyz", frames, format="extxyz")
    words = ["--model", "tensornet2", "--charge", "true", "--q-dim", "4", "--output-model", head]
    assert run(*words, dataset_root=str(tmp_path / "charged.xyz"), num_epochs=1) == 0
    model = load_model(f"{options['log_dir']}/best.ckpt", precision=64)
    z, pos = torch.as_tensor(frames[0].numbers), torch.as_tensor(frames[0].positions)
    neutral, charged = (model(z, pos, q=torch.tensor([charge]))[0] for charge in (0.0, 1.0))
    assert not torch.equal(neutral, charged)


# --------------------------------------------------------------------------------------------------------- data


def arrays(options):
    """The molecules of five atoms as arrays."""
    frames = [atoms for atoms in read(options["dataset_root"], ":") if len(atoms) == 5]
    z = frames[0].numbers
    frames = [atoms for atoms in frames if len(atoms) == len(z)]
    pos = np.stack([atoms.positions for atoms in frames])
    energy = np.array([[atoms.get_potential_energy()] for atoms in frames])
    forces = np.stack([atoms.get_forces() for atoms in frames])
    return z, pos, energy, forces


def test_atomref_with_hdf5(run, options, tmp_path):
    z, pos, energy, forces = arrays(options)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        group = file.create_group("0")
        group["types"], group["pos"], group["energy"], group["forces"] = z, pos, energy[:, 0], forces
    sizes = {"train_size": None, "val_size": 1, "test_size": 1}
    assert run(dataset="HDF5", dataset_root=str(tmp_path / "data.h5"), num_epochs=1, **sizes) == 0


def test_charge_with_custom_data_says_that_there_is_none(fails, options, tmp_path):
    z, pos, energy, forces = arrays(options)
    for name, array in {"coord": pos, "embed": z, "energy": energy, "force": forces}.items():
        np.save(tmp_path / f"{name}.npy", array)
    files = {f"{name}_files": str(tmp_path / f"{name}.npy") for name in ("coord", "embed", "energy", "force")}
    assert "charge: true, but the data set Custom has no charges" in fails(dataset="Custom", charge=True, **files)


def test_a_glob_without_files(fails, tmp_path):
    assert "nothing*.xyz" in fails(dataset_root=str(tmp_path / "nothing*.xyz"))


def test_a_file_without_frames(fails, tmp_path):
    (tmp_path / "empty.xyz").write_text("")
    assert "empty.xyz" in fails(dataset_root=str(tmp_path / "empty.xyz"))


def test_no_data_set(fails):
    assert "dataset" in fails(dataset=...)


def test_an_unknown_data_set(fails):
    assert "ExtXYZ" in fails(dataset="ExtXyz")


def test_a_missing_configuration(capsys):
    assert main(["--conf", "missing.yaml"]) == 2
    assert "conf: there is no file 'missing.yaml'" in one_line(capsys.readouterr().err)


def test_sizes_that_do_not_add_up(fails):
    assert "train_size" in fails(train_size=100)


def test_nan_in_the_positions_names_the_frame(fails, options, tmp_path):
    frames = read(options["dataset_root"], ":")
    frames[5].positions[1, 2] = np.nan
    write(tmp_path / "bad.xyz", frames)
    message = fails(dataset_root=str(tmp_path / "bad.xyz"))
    assert "bad.xyz, frame 5" in message


@pytest.mark.parametrize(
    "cell", [[[2.5, 0, 0], [0, 2.5, 0], [0, 0, 9]], [[0, 4.0, 0], [4.0, 0, 1.0], [0.5, 0, 5.0]]], ids=["thin", "turned"]
)
def test_any_cell_gives_the_energy_of_its_images(run, options, tmp_path, cell):
    frames = read(options["dataset_root"], ":")
    for atoms in frames:
        atoms.set_cell(cell)
        atoms.pbc = True
    write(tmp_path / "periodic.xyz", frames)
    assert run(dataset_root=str(tmp_path / "periodic.xyz"), num_epochs=1) == 0
    model = load_model(f"{options['log_dir']}/best.ckpt", precision=64)
    atoms = frames[0].repeat((2, 1, 2))
    energies = [
        model(torch.tensor(each.numbers), torch.tensor(each.positions), box=torch.tensor(each.cell.array))[0].item()
        for each in (frames[0], atoms)
    ]
    assert energies[1] == pytest.approx(4 * energies[0], rel=1e-10)
