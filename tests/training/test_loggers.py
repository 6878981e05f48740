"""The file of metrics."""

import csv
import re

import pytest

from torchmdnet.training.loggers import MetricsCSV, create_loggers

OPTIONS = {"tensorboard_use": False, "wandb_use": False, "wandb_name": "n", "wandb_project": "p"}


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_writes_a_row_an_epoch(tmp_path):
    logger = MetricsCSV(tmp_path)
    for epoch in range(3):
        logger.log_metrics({"epoch": epoch, "lr": 0.1, "loss": 0.5 * epoch}, step=10 * epoch)
    assert [row["epoch"] for row in rows(tmp_path)] == ["0", "1", "2"]
    assert [float(row["loss"]) for row in rows(tmp_path)] == [0.0, 0.5, 1.0]
    assert list(rows(tmp_path)[0]) == ["epoch", "lr", "step", "loss"]


def test_adds_columns_that_come_later(tmp_path):
    logger = MetricsCSV(tmp_path)
    logger.log_metrics({"epoch": 0, "a": 1.0}, step=1)
    logger.log_metrics({"epoch": 1, "a": 2.0, "b": 3.0}, step=2)
    logger.log_metrics({"epoch": 2, "b": 4.0}, step=3)
    assert [(row["a"], row["b"]) for row in rows(tmp_path)] == [("1.0", ""), ("2.0", "3.0"), ("", "4.0")]


def test_a_resumed_run_removes_the_rows_that_it_writes_again(tmp_path):
    logger = MetricsCSV(tmp_path)
    for epoch in range(4):
        logger.log_metrics({"epoch": epoch, "a": 1.0}, step=epoch)
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("4,")
    again = MetricsCSV(tmp_path)
    again.keep_before(2)
    again.log_metrics({"epoch": 2, "a": 1.0}, step=2)
    assert [row["epoch"] for row in rows(tmp_path)] == ["0", "1", "2"]


def test_sets_the_file_of_an_earlier_run_aside(tmp_path):
    MetricsCSV(tmp_path).log_metrics({"epoch": 0}, step=0)
    create_loggers(OPTIONS | {"log_dir": tmp_path})
    (name,) = [path.name for path in tmp_path.iterdir()]
    assert re.fullmatch(r"metrics_\d{8}-\d{6}\.csv", name)


def test_full_precision_is_kept(tmp_path):
    value = 0.1234567890123456
    MetricsCSV(tmp_path).log_metrics({"epoch": 0, "a": value}, step=0)
    assert float(rows(tmp_path)[0]["a"]) == value


def test_writes_the_options(tmp_path):
    MetricsCSV(tmp_path).log_hyperparams({"lr": 0.1, "prior_model": [{"ZBL": {}}]})
    assert (tmp_path / "hparams.yaml").read_text() == "lr: 0.1\nprior_model:\n- ZBL: {}\n"


def test_tensorboard_writes_below_the_log_folder(tmp_path):
    loggers = create_loggers(OPTIONS | {"log_dir": tmp_path, "tensorboard_use": True})
    loggers[1].log_metrics({"loss": 1.0}, step=0)
    loggers[1].finalize("success")
    assert list((tmp_path / "tensorboard").glob("events*"))


@pytest.mark.parametrize(("identity", "resume"), [(None, None), ("abc", "must")])
def test_weights_and_biases_gets_name_project_and_run(tmp_path, monkeypatch, identity, resume):
    monkeypatch.setenv("WANDB_MODE", "offline")
    options = OPTIONS | {"log_dir": tmp_path, "wandb_use": True, "wandb_resume_from_id": identity}
    settings = create_loggers(options)[1]._wandb_init
    assert (settings["name"], settings["project"], settings["id"], settings["resume"]) == ("n", "p", identity, resume)
