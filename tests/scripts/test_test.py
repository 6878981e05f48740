"""``torchmd-test``: errors of a checkpoint on data."""

import json

import pytest
from ase.io import read, write

from torchmdnet.config import Config
from torchmdnet.scripts.test import main
from torchmdnet.training.run import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_run):
    """Options and result of a run."""
    options = small_run(tmp_path_factory.mktemp("run"))
    return options, train(Config.from_dict(options))


def errors(folder):
    rows = json.loads((folder / "errors.json").read_text())
    return {row["quantity"]: row for row in rows}


def test_agrees_with_the_table_of_the_run_on_the_same_frames(trained, tmp_path):
    _, result = trained
    data, frames = result.module.trainer.datamodule, read(trained[0]["dataset_root"], ":")
    paths = {"val": tmp_path / "val.xyz", "test": tmp_path / "test.xyz"}
    for name, indices in {"val": data.idx_val, "test": data.idx_test}.items():
        write(paths[name], [frames[index] for index in indices], format="extxyz")
    for name, path in paths.items():
        output = tmp_path / name
        assert main(["--model", str(result.best), "--dataset-root", str(path), "--output", str(output)]) == 0
        found, expected = errors(output), {row.quantity: row for row in result.errors[name].rows}
        assert found.keys() == expected.keys()
        for quantity, row in found.items():
            assert row["mae"] == pytest.approx(expected[quantity].mae, rel=1e-4)


def test_tests_all_frames_of_the_training_data_by_default(trained, tmp_path, capsys):
    assert main(["--model", str(trained[1].best), "--output", str(tmp_path)]) == 0
    assert errors(tmp_path)["energy"]["num_values"] == 16
    assert (tmp_path / "parity.png").stat().st_size > 1000
    assert "meV/atom" in capsys.readouterr().out


def test_writes_nothing_unless_asked(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--model", str(trained[1].best)]) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_missing_checkpoint_is_one_line(capsys):
    assert main(["--model", "missing.ckpt"]) == 2
    assert capsys.readouterr().err == "torchmd-test: error: there is no checkpoint 'missing.ckpt'\n"


def test_a_model_of_forces_is_tested_on_energies_alone(trained, tmp_path):
    frames = read(trained[0]["dataset_root"], ":")
    for frame in frames:
        frame.info["energy"] = frame.get_potential_energy()
        frame.calc = None
    write(tmp_path / "energies.xyz", frames, format="extxyz")
    words = ["--dataset-root", str(tmp_path / "energies.xyz"), "--output", str(tmp_path / "out")]
    assert main(["--model", str(trained[1].best), *words]) == 0
    assert errors(tmp_path / "out").keys() == {"energy", "energy per atom"}


def test_a_model_of_energies_alone_has_nothing_to_compare_with_forces(trained, tmp_path, capsys):
    frames = read(trained[0]["dataset_root"], ":")
    for frame in frames:
        frame.arrays["forces"] = frame.get_forces()
        frame.calc = None
    write(tmp_path / "forces.xyz", frames, format="extxyz")
    words = ["--dataset-root", str(tmp_path / "forces.xyz"), "--derivative", "false"]
    assert main(["--model", str(trained[1].best), *words]) == 2
    assert (
        "ExtXYZ has none of the labels that the model's predictions compare with, y (it has" in capsys.readouterr().err
    )


@pytest.mark.parametrize("option", ["--load-model", "--load-weights"])
def test_the_checkpoint_is_named_by_model_alone(trained, option, capsys):
    assert main(["--model", str(trained[1].best), option, "other.ckpt"]) == 2
    assert "is an option of torchmd-train; --model names the checkpoint that is tested" in capsys.readouterr().err


def test_an_unknown_option_is_one_line(trained, capsys):
    assert main(["--model", str(trained[1].best), "--dataset-rot", "x"]) == 2
    assert "dataset-root" in capsys.readouterr().err
