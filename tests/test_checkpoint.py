"""Models from files."""

import json
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
import torch

from torchmdnet.checkpoint import FORMAT_VERSION, load_checkpoint, load_model, load_weights
from torchmdnet.config import Config
from torchmdnet.factory import create_model
from torchmdnet.models import model as old_paths
from torchmdnet.potential import Ensemble

Z = torch.tensor([6, 1, 1, 1, 1])
POS = torch.tensor([[0.0, 0.0, 0.0], [0.6, 0.6, 0.6], [-0.6, -0.6, 0.6], [0.6, -0.6, -0.6], [-0.6, 0.6, -0.7]])


def small_options(**changes):
    small = {"model": "tensornet", "embedding_dimension": 8, "num_layers": 1, "num_rbf": 4, "max_z": 10}
    return Config.from_dict(small | {"derivative": True} | changes).to_dict()


@pytest.fixture
def write_checkpoint(tmp_path):
    def write(name="a.ckpt", seed=0, **changes):
        torch.manual_seed(seed)
        options = small_options(**changes)
        model = create_model(options).eval()
        content = {
            "state_dict": {f"model.{key}": value for key, value in model.state_dict().items()},
            "hyper_parameters": options | {"format_version": FORMAT_VERSION},
        }
        torch.save(content, tmp_path / name)
        return tmp_path / name, model

    return write


def test_a_loaded_model_gives_the_numbers_of_the_saved_one(write_checkpoint):
    path, model = write_checkpoint()
    loaded = load_model(path)
    assert not loaded.training
    for ours, theirs in zip(loaded(Z, POS), model(Z, POS), strict=True):
        assert torch.equal(ours, theirs)


def test_options_given_to_load_model_win_over_the_file(write_checkpoint):
    path, model = write_checkpoint()
    energy, forces = load_model(str(path), derivative=False)(Z, POS)
    assert forces.shape == (0,)
    torch.testing.assert_close(energy, model(Z, POS)[0].detach())


def test_a_float32_file_loads_as_float64(write_checkpoint):
    path, model = write_checkpoint()
    energy, _ = load_model(path, precision=64)(Z, POS.double())
    assert energy.dtype == torch.float64
    torch.testing.assert_close(energy.float(), model(Z, POS)[0].detach(), rtol=1e-5, atol=1e-5)


def test_several_files_and_a_zip_make_an_ensemble(write_checkpoint, tmp_path):
    first, model_1 = write_checkpoint("a.ckpt", seed=1)
    second, model_2 = write_checkpoint("b.ckpt", seed=2)
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.write(first, "a.ckpt")
        archive.write(second, "b.ckpt")
    mean = (model_1(Z, POS)[0] + model_2(Z, POS)[0]).detach() / 2
    for source in ([first, second], tmp_path / "both.zip"):
        ensemble = load_model(source)
        assert isinstance(ensemble, Ensemble)
        torch.testing.assert_close(ensemble(Z, POS)[0].detach(), mean)
    assert len(load_model([first, second], return_std=True)(Z, POS)) == 4


class _RunsCode:
    def __reduce__(self):
        return os.system, ("touch hacked",)


def test_a_file_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "hyper_parameters": _RunsCode()}, tmp_path / "hostile.ckpt")
    with pytest.raises(ValueError, match=r"hostile\.ckpt' holds more than tensors and plain values \(posix\.system\)"):
        load_model(tmp_path / "hostile.ckpt")
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("is_zip", [True, False])
def test_states_of_callbacks_under_their_class_do_not_keep_a_file_from_loading(write_checkpoint, monkeypatch, is_zip):
    """As Lightning wrote them before 1.5; the classes are not imported."""
    path, model = write_checkpoint()
    content = torch.load(path, weights_only=True) | {"callbacks": {}}
    for module, name in (("model_checkpoint", "ModelCheckpoint"), ("early_stopping", "EarlyStopping")):
        kind = type(name, (), {"__module__": f"pytorch_lightning.callbacks.{module}"})
        stub = types.ModuleType(kind.__module__)
        setattr(stub, name, kind)
        monkeypatch.setitem(sys.modules, kind.__module__, stub)
        content["callbacks"][kind] = {"best_model_score": torch.tensor(1.0), "patience": 30}
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    monkeypatch.undo()
    torch.testing.assert_close(load_model(path)(Z, POS)[0], model(Z, POS)[0])


def test_a_hostile_bare_pickle_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile.ckpt").write_bytes(pickle.dumps(_RunsCode()))
    with pytest.raises(ValueError, match=r"hostile\.ckpt'"):
        load_model(tmp_path / "hostile.ckpt")
    assert not (tmp_path / "hacked").exists()


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint 'missing\.ckpt'"):
        load_model("missing.ckpt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "bad.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.ckpt'"):
        load_model(tmp_path / "bad.ckpt")


def test_a_file_of_weights_alone_is_told_apart(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.ckpt")
    with pytest.raises(ValueError, match="no 'state_dict' and 'hyper_parameters'"):
        load_checkpoint(tmp_path / "weights.ckpt")


def test_an_unknown_keyword_is_an_error(write_checkpoint):
    path, _ = write_checkpoint()
    with pytest.raises(TypeError, match=r"'derivatives' is not an option; did you mean 'derivative'\?"):
        load_model(path, derivatives=True)


def test_weights_that_do_not_fit_are_named(write_checkpoint):
    path, _ = write_checkpoint()
    with pytest.raises(ValueError, match=r"has shape \(8, 4\), the model \(16, 4\); .* and \d+ more"):
        load_model(path, embedding_dimension=16)


def test_load_weights_copies_into_a_new_model(write_checkpoint):
    path, model = write_checkpoint(seed=3)
    fresh = create_model(small_options())
    load_weights(fresh, path)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in fresh.state_dict().items())


def test_reference_energies_come_back_on_demand(tmp_path):
    priors = {"Atomref": {"max_z": 10, "enable": False}}
    options = small_options() | {"remove_ref_energy": True, "prior_model": [priors], "format_version": FORMAT_VERSION}
    model = create_model(options).eval()
    with torch.no_grad():
        model.prior_model[0].atomref.weight.copy_(torch.arange(10.0).unsqueeze(1))
    weights = {f"model.{key}": value for key, value in model.state_dict().items()}
    torch.save({"state_dict": weights, "hyper_parameters": options}, tmp_path / "r.ckpt")
    without = load_model(tmp_path / "r.ckpt")(Z, POS)[0]
    total = load_model(tmp_path / "r.ckpt", remove_ref_energy=False)(Z, POS)[0]
    torch.testing.assert_close(total - without, torch.tensor([[6.0 + 4 * 1.0]]))


FILES_OF_TORCHMD_NET = ["equivariant-transformer", "graph-network", "tensornet", "tensornet_oldlayout", "transformer"]


@pytest.mark.parametrize("name", FILES_OF_TORCHMD_NET)
def test_files_of_torchmd_net_give_its_numbers(test_data, name):
    folder = test_data / "contract" / "test_vectors" / "ckpt"
    expected = json.loads((folder / "expected.json").read_text())
    model = load_model(folder / f"{name}.ckpt", derivative=True)
    energy, forces = model(torch.tensor(expected["z"]), torch.tensor(expected["pos"]))
    result = expected["results"][f"{name}.ckpt"]
    np.testing.assert_allclose(energy.detach().numpy(), result["y"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(forces.numpy(), result["neg_dy"], rtol=0, atol=1e-6)


class TestFilesOfOtherReleases:
    """TensorNet's files of TorchMD-NET, made from our own, whose order of rows is that of 3.0 and later."""

    @pytest.fixture
    def foreign(self, write_checkpoint, tmp_path):
        def write(**changes):
            options = {"equivariance_invariance_group": "SO(3)"} | changes
            path, model = write_checkpoint("foreign.ckpt", **options)
            content = torch.load(path, weights_only=True)
            for key in ("format_version", "so3_convention", "repulsion"):
                content["hyper_parameters"].pop(key)
            torch.save(content, path)
            return path, model

        return write

    def test_without_evidence_the_two_ways_out_are_named(self, foreign):
        path, _ = foreign(equivariance_invariance_group="O(3)")
        ways = r"compatibility_load=True if .*, with compatibility_load=False if 3\.0"
        with pytest.raises(ValueError, match=ways):
            load_model(path)

    def test_the_users_word_on_the_order_wins(self, foreign):
        path, model = foreign(equivariance_invariance_group="O(3)")
        expected = model(Z, POS)[0]
        torch.testing.assert_close(load_model(path, compatibility_load=False)(Z, POS)[0], expected)
        assert not torch.allclose(load_model(path, compatibility_load=True)(Z, POS)[0], expected, atol=1e-4)

    @pytest.mark.parametrize(("is_old", "convention"), [(True, "2.x"), (False, "3.x")])
    def test_an_so3_model_is_the_mirror_image_that_its_release_had(self, foreign, is_old, convention):
        path, _ = foreign()
        model = load_model(path, compatibility_load=is_old)
        assert model.representation_model.so3_convention == convention

    def test_so3_convention_wins_over_the_release(self, foreign):
        path, model = foreign()
        ours = load_model(path, compatibility_load=False, so3_convention="2.x")
        theirs = load_model(path, compatibility_load=False)
        torch.testing.assert_close(ours(Z, POS)[0], model(Z, POS)[0])
        torch.testing.assert_close(theirs(Z, -POS)[0], model(Z, POS)[0])

    def test_options_given_whole_keep_the_mirror_image_of_the_file(self, foreign):
        path, _ = foreign()
        given = small_options(equivariance_invariance_group="SO(3)")
        del given["so3_convention"]
        loaded = load_model(path, args=given, compatibility_load=False)
        assert loaded.representation_model.so3_convention == "3.x"

    def test_weights_of_the_mirror_image_are_refused(self, foreign):
        path, _ = foreign()
        fresh = create_model(small_options(equivariance_invariance_group="SO(3)"))
        with pytest.raises(ValueError, match=r"convention of TorchMD-NET 3\.x, .* use so3_convention: 3\.x"):
            load_weights(fresh, path, compatibility_load=False)

    def test_the_convention_travels_with_our_own_files(self, write_checkpoint):
        path, model = write_checkpoint(equivariance_invariance_group="SO(3)", so3_convention="3.x")
        torch.testing.assert_close(load_model(path)(Z, POS)[0], model(Z, POS)[0])


def test_a_repulsion_in_the_file_is_not_left_out(write_checkpoint):
    path, model = write_checkpoint(model="tensornet2", repulsion=True)
    torch.testing.assert_close(load_model(path)(Z, POS)[0], model(Z, POS)[0])
    with pytest.raises(ValueError, match="trained with a repulsion, which is part of their energy: use repulsion=True"):
        load_model(path, repulsion=False)


def test_a_zip_without_checkpoints_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("notes.txt", "none")
    with pytest.raises(ValueError, match=r"empty\.zip' holds no \.ckpt file"):
        load_model(tmp_path / "empty.zip")


def test_an_ensemble_of_no_files_is_told():
    with pytest.raises(ValueError, match="an ensemble needs at least one checkpoint, got none"):
        load_model([])


def test_standardisation_of_shape_one_loads(write_checkpoint):
    path, model = write_checkpoint()
    content = torch.load(path, weights_only=True)
    content["state_dict"] |= {"model.mean": torch.tensor([1.5]), "model.std": torch.tensor([1.0])}
    torch.save(content, path)
    torch.testing.assert_close(load_model(path)(Z, POS)[0], model(Z, POS)[0].detach() + 1.5)


def test_check_errors_is_accepted_and_not_kept(write_checkpoint):
    path, _ = write_checkpoint()
    assert load_model(path, check_errors=False) is not None
    assert "check_errors" not in small_options(check_errors=True)


def test_the_import_paths_of_torchmd_net_stay():
    assert old_paths.load_model is load_model
    assert {"create_model", "create_prior_models", "load_ensemble", "load_model", "Ensemble", "TorchMD_Net"} <= {
        *vars(old_paths)
    }
