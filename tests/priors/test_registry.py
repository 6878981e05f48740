"""Priors are found by name or import path."""

import sys
from pathlib import Path

import pytest

from torchmdnet.priors import PRIORS, ZBL, BasePrior, resolve_prior


def test_finds_priors_by_name() -> None:
    assert resolve_prior("ZBL") is ZBL
    assert all(resolve_prior(name).__name__ == name for name in PRIORS)


def test_finds_a_prior_of_the_users_by_its_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "springs_of_mine.py").write_text(
        "from torchmdnet.priors import BasePrior\n"
        "class Springs(BasePrior):\n    pass\n"
        "class Other:\n    pass\n"
        "number = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert issubclass(resolve_prior("springs_of_mine.Springs"), BasePrior)
    with pytest.raises(ValueError, match="module 'springs_of_mine' has no 'Spring'"):
        resolve_prior("springs_of_mine.Spring")
    with pytest.raises(TypeError, match="must be a class, not 1"):
        resolve_prior("springs_of_mine.number")
    with pytest.raises(TypeError, match=r"must be a class derived from torchmdnet\.priors\.BasePrior, not <class"):
        resolve_prior("springs_of_mine.Other")


def test_suggests_the_nearest_spelling() -> None:
    with pytest.raises(ValueError, match=r"'Atomreff' is not a prior; did you mean 'Atomref'\?"):
        resolve_prior("Atomreff")


def test_says_when_a_module_is_missing() -> None:
    with pytest.raises(ValueError, match=r"the prior 'no_such_module\.P' cannot be imported: No module named"):
        resolve_prior("no_such_module.P")


def test_finds_a_module_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python looks there for scripts, and not for installed commands."""
    (tmp_path / "walls_of_mine.py").write_text(
        "from torchmdnet.priors import BasePrior\nclass Walls(BasePrior):\n    pass\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert issubclass(resolve_prior("walls_of_mine.Walls"), BasePrior)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "def __init__(self, k=1.0, dataset=None):\n        super().__init__()",
            r"has the option 'k' and no get_init_args\(\), which says what a checkpoint stores",
        ),
        ("def __init__(self):\n        super().__init__()", "must accept the keyword 'dataset', which is None when"),
    ],
)
def test_refuses_a_prior_that_a_checkpoint_could_not_hold(
    body: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"forgetful_{len(body)}"
    text = f"from torchmdnet.priors import BasePrior\n\nclass P(BasePrior):\n    {body}\n"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TypeError, match=message):
        resolve_prior(f"{name}.P")
