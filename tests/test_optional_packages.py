"""Without a package that only some parts need, those parts say in one line which extra brings it."""

import subprocess
import sys
from pathlib import Path

import pytest

from torchmdnet.datasets.hugging_face import load_table
from torchmdnet.priors import D3, Ewald
from torchmdnet.training.wandb_run import check_wandb

WITHOUT_OPENMM = """
import sys
sys.modules["openmm"] = None
for name in ("openmm", "openmm_torch"):
    try:
        __import__(f"torchmdnet.calculators.{name}")
    except ImportError as error:
        print(error)
import torchmdnet.calculators
"""


@pytest.mark.parametrize(
    ("package", "extra", "make"),
    [
        ("tad_dftd3", "d3", lambda: D3("pbe")),
        ("torchpme", "ewald", Ewald),
        ("datasets", "hf", lambda: load_table("parquet", files=None, split="train", dataset="AceHF")),
        ("wandb", "wandb", check_wandb),
    ],
)
def test_a_missing_package_is_one_line_that_names_the_extra(package, extra, make, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        make()
    assert str(caught.value).endswith(f"pip install 'torchmdnet[{extra}]'")
    assert "\n" not in str(caught.value)


def test_calculators_for_openmm_without_openmm_name_the_extra():
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT_OPENMM]
    root = Path(__file__).parent.parent
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, timeout=300).stdout
    expected = "the calculators for OpenMM need the package openmm: pip install 'torchmdnet[openmm]'"
    assert said.splitlines() == [expected, expected]
