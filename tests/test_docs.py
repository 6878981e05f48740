"""README and pages say what works: Python blocks run, commands parse, YAML holds options that exist."""

import re
import shlex
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import yaml

from torchmdnet.checkpoint import FORMAT_VERSION
from torchmdnet.config import Config, parse_arguments
from torchmdnet.models.model import create_model

REPOSITORY = Path(__file__).parent.parent
PAGES = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *(REPOSITORY / "examples").rglob("*.md")]
)

MODEL_OPTIONS = {"model": "tensornet", "output_model": "Scalar", "embedding_dimension": 16, "num_layers": 1}
MODEL_OPTIONS |= {"num_rbf": 8, "precision": 32, "derivative": True}
"""Of the checkpoints that the pages' code finds in its folder."""


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int


def blocks(page: Path, language: str) -> list[Block]:
    """Fenced blocks in one language, in order."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```([\w-]+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    every = [Block(match[1], match[2], text[: match.start()].count("\n") + 2) for match in found]
    return [block for block in every if block.language == language]


def commands(block: Block, name: str) -> Iterator[list[str]]:
    """Arguments of each call of a command in a shell block."""
    for line in block.text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|\||;|\s#", line):
            words = shlex.split(part)
            if name in words:
                yield words[words.index(name) + 1 :]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_molecules: Callable[..., Path]) -> Path:
    """Working folder with the files that the pages speak of: data, configurations, checkpoints."""
    monkeypatch.chdir(tmp_path)
    for name in ("data.extxyz", "train.extxyz", "val.extxyz", "test.extxyz"):
        write_molecules(tmp_path / name)
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    for block in blocks(REPOSITORY / "docs/guide/training.md", "yaml"):
        if block.text.startswith("# conf.yaml"):
            (tmp_path / "conf.yaml").write_text(block.text)
            (tmp_path / "other.yaml").write_text(block.text)
    torch.manual_seed(0)
    options = Config.from_dict(MODEL_OPTIONS).to_dict() | {"format_version": FORMAT_VERSION}
    weights = {f"model.{name}": value for name, value in create_model(options).state_dict().items()}
    for name in ("best.ckpt", "last.ckpt"):
        torch.save({"state_dict": weights, "hyper_parameters": options}, tmp_path / name)
    return tmp_path


def pages_with(language: str) -> list[str]:
    return [str(page.relative_to(REPOSITORY)) for page in PAGES if blocks(page, language)]


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_blocks_run_in_order(page: str, folder: Path) -> None:
    namespace: dict[str, object] = {"__name__": page}
    for block in blocks(REPOSITORY / page, "python"):
        padding = "\n" * (block.line - 1)
        # By its whole path, where TorchScript looks up what a function says.
        exec(compile(padding + block.text, str(REPOSITORY / page), "exec"), namespace)


@pytest.mark.parametrize("page", pages_with("bash"))
def test_training_commands_have_options_that_exist(page: str, folder: Path) -> None:
    for block in blocks(REPOSITORY / page, "bash"):
        for argv in commands(block, "torchmd-train"):
            parse_arguments(argv)


@pytest.mark.parametrize("page", pages_with("bash"))
def test_testing_commands_have_options_that_exist(page: str, folder: Path) -> None:
    for block in blocks(REPOSITORY / page, "bash"):
        for argv in commands(block, "torchmd-test"):
            own = dict(pair for pair in pairwise(argv) if pair[0] in ("--model", "--output"))
            assert "--model" in own
            parse_arguments([word for word in argv if word not in {*own, *own.values()}])


@pytest.mark.parametrize("page", pages_with("yaml"))
def test_yaml_blocks_hold_options_that_exist(page: str) -> None:
    for block in blocks(REPOSITORY / page, "yaml"):
        Config.convert(yaml.safe_load(block.text), source=f"{page}:{block.line}")


@pytest.mark.parametrize("page", [str(page.relative_to(REPOSITORY)) for page in PAGES])
def test_links_lead_to_files(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text)
    assert [target for target in targets if not (REPOSITORY / page).parent.joinpath(target).exists()] == []


def test_every_page_is_found() -> None:
    assert "README.md" in {page.name for page in PAGES}
    assert len(pages_with("python")) >= 5


def test_commands_are_found_behind_variables_and_in_continued_lines() -> None:
    text = "A=1 torchmd-train --conf x.yaml \\\n  --lr 1 && echo done\ntorchmd-train --conf y.yaml  # twice\n"
    found = list(commands(Block("bash", text, 1), "torchmd-train"))
    assert found == [["--conf", "x.yaml", "--lr", "1"], ["--conf", "y.yaml"]]
