"""The schema: types, ranges, messages."""

import dataclasses

import pytest

from torchmdnet.config import Config, ConfigError


def test_defaults_are_a_valid_configuration():
    assert Config.from_dict({}) == Config()


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("lr", "1e-4", 1e-4),
        ("lr", 1, 1.0),
        ("derivative", "false", False),
        ("derivative", "True", True),
        ("train_size", "110000", 110000),
        ("train_size", "0.8", 0.8),
        ("val_size", "None", None),
        ("splits", "null", None),
        ("precision", "64", 64),
        ("precision", "bf16-mixed", "bf16-mixed"),
        ("prior_model", {"ZBL": {"cutoff_distance": 4}}, {"ZBL": {"cutoff_distance": 4}}),
        ("prior_model", ["Atomref", {"ZBL": {}}], ["Atomref", {"ZBL": {}}]),
        ("dataset_arg", '{"label": "energy_U0"}', {"label": "energy_U0"}),
        ("coord_files", ["a.npy", "b.npy"], ["a.npy", "b.npy"]),
        ("box_vecs", [[1, 0, 0], [0, 2, 0], [0, 0, 3]], [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]]),
    ],
)
def test_values_take_the_type_of_their_option(key, given, expected):
    value = getattr(Config.from_dict({key: given}), key)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bach_size": 3}, "unknown option 'bach_size'; did you mean 'batch_size'?"),
        ({"lr": "fast"}, "lr: got 'fast', expected a number"),
        ({"lr": -1}, "lr: got -1, expected a number, above 0"),
        ({"num_epochs": 1.5}, "num_epochs: got 1.5, expected an integer"),
        ({"derivative": "maybe"}, "derivative: got 'maybe', expected true or false"),
        ({"precision": 12}, "precision: got 12, expected 16 or 32 or 64 or 16-mixed or bf16-mixed"),
        ({"train_loss": "mae"}, "train_loss: got 'mae', expected mse_loss or l1_loss or huber_loss"),
        ({"dataset_arg": "x"}, """dataset_arg: got 'x', expected a mapping such as {"name": 1} or none"""),
        ({"ema_decay": 1.5}, "ema_decay: got 1.5, expected a number or none, above 0 and below 1"),
        ({"cutoff_lower": 6.0}, "cutoff_lower: got 6, expected below cutoff_upper (5)"),
        ({"derivative": True, "atom_filter": 1}, "atom_filter: got 1, expected -1 with derivative: true"),
        ({"box_vecs": [[1.0, 2.0]]}, "box_vecs: got [[1.0, 2.0]], expected three rows of three numbers"),
        (
            {"train_loss": "l1_loss", "checkpoint_monitor": "val_total_mse_loss"},
            "checkpoint_monitor: got 'val_total_mse_loss', expected auto, none or one of "
            "train_total_l1_loss, val_total_l1_loss",
        ),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(options, message):
    with pytest.raises(ConfigError) as caught:
        Config.from_dict(options)
    assert str(caught.value) == message


def test_a_key_of_old_files_without_meaning_is_dropped():
    assert Config.from_dict({"check_errors": True}) == Config()


@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss", "huber_loss"])
def test_monitors_follow_the_loss(loss):
    config = Config.from_dict({"train_loss": loss})
    assert config.monitor("checkpoint_monitor", has_validation=True) == f"val_total_{loss}"
    assert config.monitor("early_stopping_monitor", has_validation=False) == f"train_total_{loss}"


def test_none_switches_early_stopping_off():
    config = Config.from_dict({"early_stopping_monitor": "null"})
    assert config.monitor("early_stopping_monitor", has_validation=True) is None


def test_every_option_has_a_help_text():
    assert [item.name for item in dataclasses.fields(Config) if not item.metadata.get("help")] == []


def test_configuration_survives_a_round_trip_through_a_dictionary():
    config = Config.from_dict({"lr": "1e-3", "prior_model": {"Atomref": {"max_z": 10}}, "train_size": 0.5})
    assert Config.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"check_errors": True, "format_version": 1, "dtype": "float"}, {}),
        ({"prior_args": []}, {}),
        (
            {"prior_model": ["Atomref", {"ZBL": {"cutoff_distance": 4.0}}], "prior_args": [{"max_z": 9}, {}]},
            {"prior_model": [{"Atomref": {"max_z": 9}}, {"ZBL": {}}]},
        ),
        ({"prior_model": "Atomref", "prior_args": {"max_z": 9}}, {"prior_model": [{"Atomref": {"max_z": 9}}]}),
    ],
)
def test_keys_of_other_files_are_left_out_or_joined(given, expected):
    assert Config.convert(given) == expected
