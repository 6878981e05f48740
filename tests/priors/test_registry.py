"""Priors are found by name or import path."""

from pathlib import Path

import pytest

from torchmdnet.priors import PRIORS, ZBL, BasePrior, resolve_prior


def test_finds_priors_by_name() -> None:
    assert resolve_prior("ZBL") is ZBL
    assert all(resolve_prior(name).__name__ == name for name in PRIORS)


def test_finds_a_prior_of_the_users_by_its_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "springs_of_mine.py").write_text(
        "from torchmdnet.priors import BasePrior\nclass Springs(BasePrior):\n    pass\nnumber = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert issubclass(resolve_prior("springs_of_mine.Springs"), BasePrior)
    with pytest.raises(ValueError, match="module 'springs_of_mine' has no 'Spring'"):
        resolve_prior("springs_of_mine.Spring")
    with pytest.raises(TypeError, match=r"must be a class derived from torchmdnet\.priors\.BasePrior, not 1"):
        resolve_prior("springs_of_mine.number")


def test_suggests_the_nearest_spelling() -> None:
    with pytest.raises(ValueError, match=r"'Atomreff' is not a prior; did you mean 'Atomref'\?"):
        resolve_prior("Atomreff")


def test_says_when_a_module_is_missing() -> None:
    with pytest.raises(ValueError, match=r"the prior 'no_such_module\.P' cannot be imported: No module named"):
        resolve_prior("no_such_module.P")
