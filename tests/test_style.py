"""The rules of form that a linter does not know: names and lengths of files, docstrings, words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import torchmdnet

PACKAGE = Path(torchmdnet.__file__).parent
REPOSITORY = Path(__file__).parent.parent

NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "stuff"}
FOREIGN = {"torchmdnet/utils.py", "torchmdnet/models/utils.py"}
"""Names that TorchMD-NET's users import from; ``test_layers.py`` allows nothing but imports in them."""

LONGEST_FUNCTION = 60
LONGEST_FILE = 400

UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|NotImplemented" r"Error)\b")
"""Work left undone; written in pieces so that this file passes its own rule."""

MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(?:work|opt|root|home|Users|tmp/bash\w*)/")
"""Absolute paths of somebody's machine."""

TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".cpp", ".cu", ".cuh", ".h", ".cfg", ".rst", ".txt", ""}
FOLDERS = ("torchmdnet", "tests", "docs", "examples", "benchmarks", "cpp_src", ".ci")


def python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if not {"__pycache__", "_build"} & set(path.parts))


def text_files(repository: Path) -> Iterator[Path]:
    """Files that people wrote: those at the top and those in the project's folders."""
    candidates = [path for path in repository.iterdir() if path.is_file()]
    for folder in FOLDERS:
        candidates += [path for path in (repository / folder).rglob("*") if path.is_file()]
    for path in sorted(candidates):
        built = {"__pycache__", "_build", ".git"} & set(path.relative_to(repository).parts)
        if path.suffix in TEXT and not built:
            yield path


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        text = function.body[0]
        lines -= (text.end_lineno or text.lineno) - text.lineno + 1
    return lines


def long_functions(folder: Path) -> list[str]:
    return [
        f"{path.name}:{function.lineno} {function.name} has {length(function)} lines"
        for path in python_files(folder)
        for function in functions(ast.parse(path.read_text(encoding="utf-8")))
        if length(function) > LONGEST_FUNCTION
    ]


def long_files(folder: Path) -> list[str]:
    counts = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in python_files(folder)}
    return [f"{path.name} has {count} lines" for path, count in counts.items() if count > LONGEST_FILE]


def nameless_files(folder: Path) -> list[str]:
    paths = [path for path in folder.rglob("*") if path.suffix in {".py", ""}]
    named = (path for path in paths if path.relative_to(folder.parent).as_posix() not in FOREIGN)
    return sorted(path.name for path in named if path.stem.strip("_").lower() in NAMELESS)


def undocumented(folder: Path) -> list[str]:
    """Public modules, and their public functions, classes and methods, that have no docstring."""
    faults = []
    for path in python_files(folder):
        module = ast.parse(path.read_text(encoding="utf-8"))
        if module.body and ast.get_docstring(module) is None:
            faults.append(f"{path.name} has no docstring")
        for node in module.body:
            faults += [f"{path.name}:{line} {name}" for name, line in undocumented_names(node)]
    return faults


def undocumented_names(node: ast.stmt) -> Iterator[tuple[str, int]]:
    """The public definition ``node`` itself; for a class also its methods, unless they fill in a base class."""
    if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
        return
    if ast.get_docstring(node) is None:
        yield node.name, node.lineno
    if isinstance(node, ast.ClassDef) and not node.bases:
        for child in node.body:
            if isinstance(child, ast.FunctionDef) and not child.name.startswith("_") and not ast.get_docstring(child):
                yield f"{node.name}.{child.name}", child.lineno


def matches(pattern: re.Pattern[str], paths: Iterator[Path]) -> list[str]:
    return [
        f"{path.name}:{number} {found.group()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if (found := pattern.search(line))
    ]


def test_every_file_has_a_name_that_says_what_it_is() -> None:
    assert nameless_files(PACKAGE) == []


def test_a_function_fits_a_screen() -> None:
    assert long_functions(PACKAGE) == []


def test_a_file_holds_one_idea() -> None:
    assert long_files(PACKAGE) == []


def test_everything_public_has_a_docstring() -> None:
    assert undocumented(PACKAGE) == []


def test_nothing_is_left_unfinished() -> None:
    assert matches(UNFINISHED, iter(python_files(PACKAGE) + python_files(REPOSITORY / "examples"))) == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert matches(MACHINE_PATH, text_files(REPOSITORY)) == []


LONG = "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION
SLASH = "/"

BAD = {
    "utils.py": ("", nameless_files),
    "long_function.py": (LONG, long_functions),
    "long_file.py": ("x = 1\n" * (LONGEST_FILE + 1), long_files),
    "silent_module.py": ("x = 1\n", undocumented),
    "silent_function.py": ('"""Doc."""\ndef f():\n    pass\n', undocumented),
    "silent_method.py": ('"""Doc."""\nclass A:\n    """Doc."""\n    def f(self):\n        pass\n', undocumented),
    "undone.py": ("# TO" + "DO: later\n", lambda folder: matches(UNFINISHED, folder.iterdir())),
    "stub.py": ("raise NotImplemented" + "Error\n", lambda folder: matches(UNFINISHED, folder.iterdir())),
    "path.md": (f"see {SLASH}work{SLASH}shared\n", lambda folder: matches(MACHINE_PATH, folder.iterdir())),
    "quoted.yaml": (f"root: '{SLASH}home{SLASH}me'\n", lambda folder: matches(MACHINE_PATH, folder.iterdir())),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_rule_finds_a_bad_file(tmp_path: Path, name: str) -> None:
    text, rule = BAD[name]
    (tmp_path / name).write_text(text)
    assert [re.split("[: ]", fault)[0] for fault in rule(tmp_path)] == [name]


def test_paths_below_the_working_folder_are_no_fault() -> None:
    for text in ("docs/work/x", "./opt/x", "https://example.org/home/x", "$PWD/work/x"):
        assert not MACHINE_PATH.search(text), text
