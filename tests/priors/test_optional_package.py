"""A prior whose package is not installed says how to install it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from torchmdnet.config import ConfigError
from torchmdnet.factory import check_names, create_prior_models
from torchmdnet.priors import D3, BasePrior, Ewald
from torchmdnet.priors.optional_package import load_optional


@pytest.mark.parametrize(
    ("make", "module", "message"),
    [
        (lambda: D3("pbe"), "tad_dftd3", r"the prior D3 needs the package tad-dftd3: pip install 'torchmdnet\[d3\]'"),
        (Ewald, "torchpme", r"the prior Ewald needs the package torch-pme: pip install 'torchmdnet\[ewald\]'"),
    ],
)
def test_a_missing_package_is_one_clear_error(
    make: Callable[[], BasePrior], module: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=message):
        make()


def test_a_package_that_misses_something_itself_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "incomplete_package.py").write_text("import something_it_needs\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'something_it_needs'"):
        load_optional("incomplete_package", package="incomplete", extra="none", prior="P")


def test_options_are_checked_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tad_dftd3", None)
    options = {"model": "tensornet", "output_model": "Scalar", "prior_model": [{"D3": {"functionl": "pbe"}}]}
    with pytest.raises(ConfigError, match="'functionl' is not an option of D3; did you mean 'functional'"):
        check_names(options)


def test_other_priors_work_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tad_dftd3", "torchpme"):
        monkeypatch.setitem(sys.modules, module, None)
    assert len(create_prior_models({"prior_model": ["Atomref", {"D2": {"cutoff_distance": 4.0}}]})) == 2
