"""Command line, YAML file and checkpoint options together."""

import pytest

from torchmdnet.config import Config, ConfigError, parse_arguments, read_command_line, read_yaml


@pytest.fixture
def yaml_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("lr: 1e-3\nbatch_size: 4\nderivative: true\nprior_model:\n  ZBL:\n    cutoff_distance: 4.0\n")
    return path


def test_command_line_wins_over_the_file_in_any_order(yaml_file):
    before = parse_arguments(["--lr", "0.5", "--conf", str(yaml_file)])
    after = parse_arguments(["--conf", str(yaml_file), "--lr", "0.5"])
    assert before == after
    assert before.lr == 0.5
    assert before.batch_size == 4


def test_command_line_wins_over_file_and_file_over_checkpoint(yaml_file):
    stored = {"lr": 1e-5, "batch_size": 2, "seed": 7, "prior_args": [], "conf": "old.yaml"}
    config = parse_arguments(["--batch-size", "9", "--conf", str(yaml_file)], checkpoint_options=stored)
    assert (config.batch_size, config.lr, config.seed, config.conf) == (9, 1e-3, 7, str(yaml_file))


@pytest.mark.parametrize("words", [["--batch-size", "8"], ["--batch_size", "8"], ["--batch-size=8"]])
def test_dashes_and_underscores_are_the_same(words):
    assert read_command_line(words) == {"batch_size": 8}


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--derivative"], {"derivative": True}),
        (["--derivative", "false"], {"derivative": False}),
        (["--remove-ref-energy", "--lr", "1e-3"], {"remove_ref_energy": True, "lr": 1e-3}),
        (["--prior-model", "Atomref", "ZBL"], {"prior_model": ["Atomref", "ZBL"]}),
        (["--prior-model", '{"ZBL": {"cutoff_distance": 4}}'], {"prior_model": {"ZBL": {"cutoff_distance": 4}}}),
        (["--dataset-arg", '{"label": "energy_U0"}'], {"dataset_arg": {"label": "energy_U0"}}),
        (["--dataset-arg", "{label: energy_U0}"], {"dataset_arg": {"label": "energy_U0"}}),
        (["--train-loss-arg", '{"delta": 1e-2}'], {"train_loss_arg": {"delta": 0.01}}),
        (["--ngpus", "-1", "-l", "out"], {"ngpus": -1, "log_dir": "out"}),
        (["--train-size", "None", "--val-size", "0.2"], {"train_size": None, "val_size": 0.2}),
    ],
)
def test_reads_what_users_write(words, options):
    assert read_command_line(words) == options


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bach-size", "3"], "unknown option '--bach-size'; did you mean '--batch-size'?"),
        (["run.yaml"], "'run.yaml' belongs to no option; options start with --"),
        (["--lr"], "lr: no value was given on the command line"),
        (["--lr", "1", "2"], "lr: takes one value, got '1 2' on the command line"),
        (["--lr", "high"], "lr: got 'high', expected a number (command line)"),
        (["--conf", "run.txt"], "conf: got 'run.txt', expected a file that ends in .yaml or .yml"),
        (["--conf", "missing.yaml"], "conf: there is no file 'missing.yaml'"),
    ],
)
def test_wrong_command_lines_are_told_in_one_line(words, message):
    with pytest.raises(ConfigError) as caught:
        parse_arguments(words)
    assert str(caught.value) == message


def test_an_unknown_key_is_told_with_its_file(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("bach_size: 3\n")
    with pytest.raises(ConfigError, match=r"unknown option 'bach_size' \(.*x\.yaml\); did you mean 'batch_size'\?"):
        read_yaml(path)


def test_a_file_that_is_not_yaml_is_told_in_one_line(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("lr: [1,\n")
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert "is not YAML" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_saved_configuration_runs_again(tmp_path, yaml_file):
    config = parse_arguments(["--conf", str(yaml_file), "--lr", "3e-4"])
    config.save(tmp_path / "input.yaml")
    again = parse_arguments(["--conf", str(tmp_path / "input.yaml")])
    assert again.to_dict() | {"conf": None} == config.to_dict() | {"conf": None}


def test_load_model_of_the_command_line_wins_with_a_warning(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("load_model: a.ckpt\n")
    with pytest.warns(UserWarning, match=r"b\.ckpt of the command line is used"):
        config = parse_arguments(["--conf", str(path), "--load-model", "b.ckpt"])
    assert config.load_model == "b.ckpt"


def test_help_lists_every_option_in_groups(capsys):
    with pytest.raises(SystemExit) as caught:
        parse_arguments(["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert [name for name in Config.option_names() if f"--{name}" not in text] == []
    assert "Optimisation:" in text


def test_all_keys_of_the_training_tool_we_follow_are_read(test_data):
    contract = (test_data / "contract" / "test_vectors" / "ckpt" / "tensornet.hparams.yaml").read_text()
    keys = [line.split(":")[0] for line in contract.splitlines() if line and not line.startswith(" ")]
    keys.remove("prior_args")
    assert [key for key in keys if key not in Config.option_names()] == []
