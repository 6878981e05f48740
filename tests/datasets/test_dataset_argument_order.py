"""Data sets are made with their arguments by position in the order of TorchMD-NET's constructors."""

import inspect

import pytest

from torchmdnet.datasets import DATASETS

COMMON = "root transform pre_transform pre_filter"
FILTERED = "transform pre_transform pre_filter"
ANI = ["ANI1", "ANI1CCX", "COMP6v1"]
ANI += ["ANIMD", "DrugBank", "GDB07to09", "GDB10to13", "Tripeptides", "S66X8"]
DOMAINS = "numAtoms numNoHAtoms numResidues temperatures skip_frames pdb_list min_gyration_radius max_gyration_radius"

ORDERS = {
    **dict.fromkeys(ANI, COMMON),
    **dict.fromkeys(["ANI1X", "ANI2X", "COMP6v2"], f"{COMMON} properties"),
    "QM9": "root transform label",
    "QM9q": f"{COMMON} paths",
    "MD17": f"root molecules train {FILTERED}",
    "MD22": f"root molecules {FILTERED}",
    "SPICE": f"{COMMON} version subsets max_gradient subsample_molecules",
    "MACEOFF": f"{COMMON} version max_gradient",
    "Ace": f"{COMMON} paths max_gradient subsample_molecules",
    "AceHF": "root paths split max_gradient",
    "GenentechTorsions": f"{COMMON} paths theory energy_field",
    "WaterBox": "root transform pre_transform",
    "MDCATH": f"{COMMON} source_file file_basename {DOMAINS} alpha_beta_coil solid_ss numFrames",
    "HDF5": "filename dataset_preload_limit",
    "Custom": f"coordglob embedglob energyglob forceglob preload_memory_limit {FILTERED}",
}
OWN = {"ExtXYZ", "ASEDatabase"}


def test_no_data_set_is_left_out() -> None:
    assert {*ORDERS} | OWN == {*DATASETS}


@pytest.mark.parametrize("name", ORDERS)
def test_arguments_stand_in_the_order_of_torchmd_net(name: str) -> None:
    expected = ORDERS[name].split()
    parameters = inspect.signature(DATASETS[name]).parameters
    assert list(parameters)[: len(expected)] == expected
    assert {parameters[word].kind for word in expected} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
