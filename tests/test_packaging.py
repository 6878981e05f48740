"""What is declared is what is there: dependencies, commands, pins, versions."""

import ast
import re
import sys
from importlib.metadata import distribution, packages_distributions, version
from pathlib import Path

import yaml

import torchmdnet

PACKAGE = Path(torchmdnet.__file__).parent
REPOSITORY = Path(__file__).parent.parent
REQUIREMENTS = distribution("torchmdnet").requires or []
"""As in ``ase>=3.26`` and, of an extra, ``pytest>=8; extra == 'test'``."""

CONDA_NAME = {"torch": "pytorch", "torch-geometric": "pytorch_geometric", "matplotlib": "matplotlib-base"}
CONDA_NAME |= {"tblite": "tblite-python", "dftd3": "dftd3-python", "openmmml": "openmm-ml"}
"""Distributions that conda-forge calls something else."""

OF_EXTRAS = {"openmm"}
"""Packages of an extra, imported by files that no other file of the package imports."""


def name_of(requirement: str) -> str:
    """``jsonargparse[signatures]>=4.40`` -> ``jsonargparse``."""
    return re.split(r"[\[<>=~!; ]", requirement)[0].lower()


def floor(requirement: str) -> str:
    """``ase>=3.26`` -> ``3.26``."""
    found = re.search(r">=([\d.]+)", requirement)
    return found.group(1) if found else ""


def imported_packages() -> set[str]:
    """Top-level names that the package imports from elsewhere."""
    names = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(str(node.module).split(".")[0])
    return names - set(sys.stdlib_module_names) - {"torchmdnet"} - OF_EXTRAS


def conda_requirements() -> dict[str, str]:
    """Package to version in environment.yml."""
    entries = yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"]
    return {re.split("[>=]", entry)[0]: re.split("[>=]+", entry)[-1] for entry in entries}


def test_version_is_that_of_the_installed_package() -> None:
    assert torchmdnet.__version__ == version("torchmdnet")


def test_changelog_has_an_entry_for_the_version() -> None:
    assert f"## [{torchmdnet.__version__}]" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_every_imported_package_is_a_dependency() -> None:
    declared = {name_of(requirement) for requirement in REQUIREMENTS if "extra ==" not in requirement}
    providers = packages_distributions()
    undeclared = {
        name for name in imported_packages() if not declared & {provider.lower() for provider in providers[name]}
    }
    assert undeclared == set()


def test_commands_lead_to_functions() -> None:
    commands = distribution("torchmdnet").entry_points.select(group="console_scripts")
    assert {"torchmd-train", "torchmd-test"} <= commands.names
    assert all(callable(command.load()) for command in commands)


def test_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_conda_environment_has_the_dependencies_of_the_package() -> None:
    conda = conda_requirements()
    for requirement in REQUIREMENTS:
        name = CONDA_NAME.get(name_of(requirement), name_of(requirement))
        if name == "torchmdnet":
            continue
        assert name in conda, requirement
        assert name == "pytorch" or floor(requirement) in conda[name], requirement


def test_torch_is_pinned_to_one_version_everywhere() -> None:
    pins = re.findall(r"torch==([\d.]+\d)", (REPOSITORY / "README.md").read_text())
    assert len(pins) >= 2
    assert {*pins, conda_requirements()["pytorch"]} == {pins[0]}
