"""The order of the house: a module imports only from lower layers, and heavy packages stay in their rooms."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import torchmdnet

PACKAGE = Path(torchmdnet.__file__).parent

LAYER = {
    "": 0,
    "units": 0,
    "elements": 0,
    "graph": 0,
    "import_path": 0,
    "ops": 1,
    "neighbors": 2,
    "nn": 2,
    "models": 3,
    "outputs": 3,
    "priors": 3,
    "datasets": 3,
    "potential": 4,
    "config": 5,
    "factory": 5,
    "checkpoint": 5,
    "migrations": 5,
    "tensor_layout": 5,
    "optimize": 5,
    "training": 6,
    "calculators": 7,
    "scripts": 8,
    "__main__": 8,
}
"""Room (first name below ``torchmdnet``) to layer."""

NEIGHBOURS = {
    ("", "ops"),
    ("factory", "config"),
    *(("checkpoint", room) for room in ("config", "factory", "migrations", "tensor_layout")),
}
"""Rooms of which the first may import the second all the same; that of the package loads the native library."""

SEPARATE = ("models",)
"""Rooms whose modules never import a sibling: what two of them share belongs to ``nn``."""

RE_EXPORTS = {
    "models/model.py",
    "models/torchmd_et.py",
    "models/torchmd_gn.py",
    "models/torchmd_t.py",
    "models/output_modules.py",
    "models/utils.py",
    "models/wrappers.py",
    "datasets/ani.py",
    "datasets/comp6.py",
    "datasets/genentech.py",
    "datasets/hdf.py",
    "datasets/water.py",
    "module.py",
    "data.py",
    "utils.py",
}
"""Import paths that TorchMD-NET's users have in their scripts: nothing but imports, exempt from the order."""

ROOMS_OF = {
    "lightning": {"training", "scripts"},
    "pytorch_lightning": set(),
    "jsonargparse": {"config"},
    "ase": {"calculators", "datasets", "elements"},
    "h5py": {"datasets"},
    "openmm": {"calculators"},
}
"""Where these third-party packages may be imported."""

IMPORTS_BY_NAME = {"import_path.py", "priors/optional_package.py", "datasets/hugging_face.py"}
"""Modules that import what the user's own options name, and what only they need."""


class Import(NamedTuple):
    """One imported module, seen from the module that imports it."""

    source: str
    """Importing file, relative to the package."""
    line: int
    target: str
    """Dotted name of what is imported."""

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.target}"


def room(name: str) -> str:
    """First name below the package: ``torchmdnet.ops.scatter`` -> ``ops``; ``ops/scatter.py`` -> ``ops``."""
    if name.endswith(".py"):
        first = Path(name).parts[0].removesuffix(".py")
        return "" if first == "__init__" else first
    return [*name.split("."), ""][1]


def files(package: Path) -> list[Path]:
    return sorted(path for path in package.rglob("*.py") if "__pycache__" not in path.parts)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def is_module(package: Path, name: str) -> bool:
    """Whether ``torchmdnet.a.b`` names a file or folder of the package."""
    path = package.joinpath(*name.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(package: Path, path: Path) -> Iterator[Import]:
    """Every import of a file, relative ones resolved, ``from package import module`` resolved to the module."""
    source = str(path.relative_to(package))
    here = ["torchmdnet", *path.relative_to(package).with_suffix("").parts]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (Import(source, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join((here[: -node.level] if node.level else []) + ([node.module] if node.module else []))
            for alias in node.names:
                full = f"{base}.{alias.name}"
                inside = base.split(".")[0] == "torchmdnet" and is_module(package, full)
                yield Import(source, node.lineno, full if inside else base)


def all_imports(package: Path) -> list[Import]:
    return [found for path in files(package) for found in imports(package, path)]


def upward_imports(package: Path) -> list[str]:
    """Imports from the same or a higher layer."""
    faults = []
    for found in all_imports(package):
        if found.source in RE_EXPORTS or found.target.split(".")[0] != "torchmdnet":
            continue
        here, there = room(found.source), room(found.target)
        if here == there or (here, there) in NEIGHBOURS:
            continue
        if LAYER[there] >= LAYER[here] and there != "":
            faults.append(f"{found}: layer {LAYER[here]} from layer {LAYER[there]}")
    return faults


def sibling_imports(package: Path) -> list[str]:
    """Imports between modules of a room whose modules stand alone."""
    faults = []
    for found in all_imports(package):
        is_front = found.source in RE_EXPORTS or found.source.endswith("__init__.py")
        if room(found.source) in SEPARATE and not is_front and room(found.target) == room(found.source):
            faults.append(str(found))
    return faults


def misplaced_imports(package: Path) -> list[str]:
    """Third-party packages outside their rooms."""
    faults = []
    for found in all_imports(package):
        top = found.target.split(".")[0]
        if top in ROOMS_OF and found.source not in RE_EXPORTS and room(found.source) not in ROOMS_OF[top]:
            faults.append(f"{found}: only {sorted(ROOMS_OF[top])} may")
    return faults


def hidden_imports(package: Path) -> list[str]:
    """Imports that are not plain statements at the top of the file: in functions, classes, try or if."""
    faults = []
    for path in files(package):
        module, name = tree(path), str(path.relative_to(package))
        for node in ast.walk(module):
            if isinstance(node, ast.Import | ast.ImportFrom) and node not in module.body:
                faults.append(f"{name}:{node.lineno} imports inside a block")
            is_call = isinstance(node, ast.Call) and ast.unparse(node.func) in {"__import__", "importlib.import_module"}
            if is_call and name not in IMPORTS_BY_NAME:
                faults.append(f"{name}:{node.lineno} imports by name")
    return faults


def is_re_export(module: ast.Module) -> bool:
    """Nothing but a docstring, imports and ``__all__``."""
    for node in module.body:
        is_text = (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
        is_all = isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
        if not (is_text or is_all or isinstance(node, ast.ImportFrom)):
            return False
    return True


def test_every_module_has_a_layer() -> None:
    rooms = {room(str(path.relative_to(PACKAGE))) for path in files(PACKAGE)}
    re_exports = {room(name) for name in RE_EXPORTS}
    assert rooms - re_exports <= LAYER.keys()


def test_modules_import_only_from_lower_layers() -> None:
    assert upward_imports(PACKAGE) == []


def test_models_never_import_each_other() -> None:
    assert sibling_imports(PACKAGE) == []


def test_lightning_ase_and_other_heavy_packages_stay_in_their_rooms() -> None:
    assert misplaced_imports(PACKAGE) == []


def test_imports_stand_plainly_at_the_top_of_the_file() -> None:
    assert hidden_imports(PACKAGE) == []


@pytest.mark.parametrize("name", sorted(RE_EXPORTS))
def test_compatibility_module_holds_nothing_but_re_exports(name: str) -> None:
    assert is_re_export(tree(PACKAGE / name))


BAD = {
    "ops/a.py": ("from torchmdnet.nn import mlp\n", upward_imports),
    "ops/b.py": ("from .. import potential\n", upward_imports),
    "priors/a.py": ("from torchmdnet.models import tensornet\n", upward_imports),
    "units.py": ("import torchmdnet.graph\n", upward_imports),
    "models/a.py": ("from torchmdnet.models.b import B\n", sibling_imports),
    "models/c.py": ("from . import b\n", sibling_imports),
    "nn/a.py": ("import lightning.pytorch as pl\n", misplaced_imports),
    "potential.py": ("from ase import Atoms\n", misplaced_imports),
    "config.py": ("def f():\n    import json\n", hidden_imports),
    "graph.py": ("try:\n    import torch\nexcept ImportError:\n    torch = None\n", hidden_imports),
    "factory.py": ("import importlib\nx = importlib.import_module('torch')\n", hidden_imports),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_rule_finds_a_bad_module(tmp_path: Path, name: str) -> None:
    text, rule = BAD[name]
    for other in ("models/b.py", "models/tensornet.py", "nn/mlp.py", "potential.py", "graph.py", name):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).touch()
    (tmp_path / name).write_text(text)
    assert [fault.split(":")[0] for fault in rule(tmp_path)] == [name]


def test_rule_finds_code_in_a_re_export() -> None:
    assert is_re_export(ast.parse('"""Doc."""\nfrom a import b\n__all__ = ["b"]\n'))
    assert not is_re_export(ast.parse("from a import b\ndef c():\n    return b\n"))
