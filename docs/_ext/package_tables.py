"""Directives that read tables from the package when the pages are built: its options, its registries."""

import dataclasses
import importlib
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from torchmdnet.config import OPTION_GROUPS

LIMITS = {"at_least": "≥", "above": ">", "at_most": "≤", "below": "<"}


def type_text(kind: Any) -> str:
    """``int | None`` -> ``int or none``; the words of a ``Literal`` themselves."""
    if kind is type(None):
        return "none"
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return " or ".join(type_text(part) for part in typing.get_args(kind))
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(str(word) for word in typing.get_args(kind))
    return getattr(kind, "__name__", str(kind)) if typing.get_origin(kind) is None else str(kind.__origin__.__name__)


def default_text(value: Any) -> str:
    """As it is written in YAML."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def rows(group: type) -> Iterator[tuple[str, str, str, str]]:
    """Name, type with range, default and meaning of each option."""
    for field in dataclasses.fields(group):
        limits = ", ".join(f"{sign} {field.metadata[key]:g}" for key, sign in LIMITS.items() if key in field.metadata)
        kind = type_text(field.type)
        yield field.name, f"{kind}, {limits}" if limits else kind, default_text(field.default), field.metadata["help"]


def grid(titles: Sequence[str], widths: Sequence[int], lines: Iterable[Sequence[str]]) -> nodes.table:
    """A table whose first column is set as code."""
    body = nodes.tbody()
    for first, *texts in lines:
        cells = [nodes.entry("", nodes.paragraph("", "", nodes.literal("", first)))]
        cells += [nodes.entry("", nodes.paragraph("", text)) for text in texts]
        body += nodes.row("", *cells)
    head = nodes.thead("", nodes.row("", *[nodes.entry("", nodes.paragraph("", title)) for title in titles]))
    columns = [nodes.colspec(colwidth=width) for width in widths]
    return nodes.table("", nodes.tgroup("", *columns, head, body, cols=len(widths)))


class OptionTable(SphinxDirective):
    """``option-table:: ModelConfig`` shows one group of options."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table of the group that the argument names."""
        groups = {group.__name__: group for group in OPTION_GROUPS}
        if self.arguments[0] not in groups:
            raise self.error(f"{self.arguments[0]} is not one of {', '.join(groups)}")
        return [grid(("key", "value", "default", "meaning"), (22, 22, 12, 44), rows(groups[self.arguments[0]]))]


class RegistryTable(SphinxDirective):
    """``registry-table:: torchmdnet.models.MODELS`` shows the names in a registry and what they stand for."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table of the registry that the argument names."""
        module, _, name = self.arguments[0].rpartition(".")
        registry: dict[str, type] = getattr(importlib.import_module(module), name)
        lines = [
            (key, f"{kind.__module__}.{kind.__name__}", str(kind.__doc__).strip().split("\n")[0])
            for key, kind in registry.items()
        ]
        return [grid(("name", "class", "what it is"), (25, 35, 40), lines)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("option-table", OptionTable)
    app.add_directive("registry-table", RegistryTable)
    return {"parallel_read_safe": True}
