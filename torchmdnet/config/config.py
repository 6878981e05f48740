"""The typed configuration of a run: all options, checked one by one and together."""

import dataclasses
import difflib
import functools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonargparse
import yaml

from torchmdnet.config.foreign_keys import ForeignKeyError, without_foreign_keys
from torchmdnet.config.schema import (
    OPTION_GROUPS,
    DataConfig,
    LoggingConfig,
    LossConfig,
    ModelConfig,
    OptimizationConfig,
    RunConfig,
)

__all__ = ["Config", "ConfigError", "build_parser", "nearest"]

_LIMITS = {
    "at_least": (lambda value, limit: value >= limit, "at least"),
    "above": (lambda value, limit: value > limit, "above"),
    "at_most": (lambda value, limit: value <= limit, "at most"),
    "below": (lambda value, limit: value < limit, "below"),
}


_MAPPING = 'a mapping such as {"name": 1}'


class ConfigError(ValueError):
    """An option that cannot be used: names the key, what was given, what is allowed."""


def nearest(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the known word closest to ``word``, empty if none is close."""
    by_lower_case = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), list(by_lower_case), n=1, cutoff=0.5)
    return f"; did you mean '{by_lower_case[close[0]]}'?" if close else ""


@functools.cache
def build_parser() -> jsonargparse.ArgumentParser:
    """The command line's parser, an option group for each concern."""
    parser = jsonargparse.ArgumentParser(
        prog="torchmd-train",
        usage="torchmd-train --conf FILE.yaml [--option value ...]",
        description="Train a neural-network potential. Options stand in a YAML file (--conf) or here, where they win, "
        "in any order; --batch-size and --batch_size are the same.",
        exit_on_error=False,
        default_env=False,
    )
    short = {"conf": ["-c"], "log_dir": ["-l"]}
    for group in OPTION_GROUPS:
        section = parser.add_argument_group(str(group.__doc__))
        for item in dataclasses.fields(group):
            names = [*short.get(item.name, []), f"--{item.name}"]
            section.add_argument(*names, type=item.type, default=item.default, help=_help_text(item))
    return parser


def _help_text(item: "dataclasses.Field[Any]") -> str:
    limits = _limits_text(item)
    return item.metadata["help"] + (f" ({limits})" if limits else "")


def _limits_text(item: "dataclasses.Field[Any]") -> str:
    return " and ".join(f"{_LIMITS[name][1]} {limit:g}" for name, limit in item.metadata.items() if name in _LIMITS)


def _allowed(item: "dataclasses.Field[Any]") -> str:
    """The values an option takes, in words."""
    names = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "text", "NoneType": "none"}
    parts: list[str] = []
    for kind in getattr(item.type, "__args__", None) or (item.type,):
        name = getattr(kind, "__name__", str(kind))
        word = names.get(name, _MAPPING if name.startswith("dict") else "a list" if name.startswith("list") else None)
        parts.append(word if word is not None else repr(kind).strip("'") if not isinstance(kind, type) else name)
    return " or ".join(dict.fromkeys(parts))


def _typed(item: "dataclasses.Field[Any]", value: Any) -> Any:
    """``value`` in the option's type and range."""
    if isinstance(value, str) and value.lower() in {"none", "null"} and "None" in str(item.type):
        value = None
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, tuple):
        value = list(value)
    try:
        typed = build_parser().parse_object({item.name: value}, defaults=False)[item.name]
    except Exception as error:  # the parser's messages span lines and name no remedy
        raise ConfigError(f"{item.name}: got {value!r}, expected {_allowed(item)}") from error
    if isinstance(typed, (int, float)) and not isinstance(typed, bool):
        limits = {name: limit for name, limit in item.metadata.items() if name in _LIMITS}
        if not all(_LIMITS[name][0](typed, limit) for name, limit in limits.items()):
            raise ConfigError(f"{item.name}: got {value!r}, expected {_allowed(item)}, {_limits_text(item)}")
    return typed.as_dict() if isinstance(typed, jsonargparse.Namespace) else typed


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, DataConfig, ModelConfig, LossConfig, OptimizationConfig, LoggingConfig):
    """All options of a run, flat and frozen. Build it with :meth:`from_dict` to have values converted and checked."""

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """Names of all options."""
        return tuple(item.name for item in dataclasses.fields(cls))

    @classmethod
    def from_dict(cls, options: Mapping[str, Any], *, source: str = "") -> "Config":
        """Options by key, each converted to its type.

        Args:
            options: Any of the keys; the others take their defaults. Text is read as on the command line.
            source: Where the options come from, such as a file name, for the error messages.

        Raises:
            ConfigError: A key is unknown, or a value has the wrong type, is out of range or contradicts another.
        """
        config = cls(**cls.convert(options, source=source))
        config._check_together()
        return config

    @classmethod
    def convert(cls, options: Mapping[str, Any], *, source: str = "") -> dict[str, Any]:
        """The given options alone, each converted to its type and checked by itself."""
        fields = {item.name: item for item in dataclasses.fields(cls)}
        where = f" ({source})" if source else ""
        typed = {}
        try:
            own = without_foreign_keys(options)
        except ForeignKeyError as error:
            raise ConfigError(f"{error}{where}") from error
        for key, value in own.items():
            if key not in fields:
                raise ConfigError(f"unknown option '{key}'{where}{nearest(str(key), fields)}")
            try:
                typed[key] = _typed(fields[key], value)
            except ConfigError as error:
                raise ConfigError(f"{error}{where}") from error
        return typed

    def to_dict(self) -> dict[str, Any]:
        """The options as a flat dictionary of plain values."""
        return dataclasses.asdict(self)

    def save(self, path: str | Path) -> None:
        """Write all options but ``conf`` to a YAML file that :func:`torchmdnet.config.parse_arguments` reads."""
        options = self.to_dict()
        del options["conf"]
        Path(path).write_text(yaml.safe_dump(options, sort_keys=True))

    def monitor(self, key: str, *, has_validation: bool) -> str | None:
        """The metric that ``key`` follows; ``auto`` follows train_loss.

        Args:
            key: ``checkpoint_monitor`` or ``early_stopping_monitor``.
            has_validation: Whether there are validation frames; without any, ``auto`` follows the training loss.
        """
        value: str | None = getattr(self, key)
        stage = "val" if has_validation else "train"
        if value == "auto":
            return f"{stage}_total_{self.train_loss}"
        if value is not None and value.startswith("val_") and not has_validation:
            raise ConfigError(f"{key}: got '{value}', but there are no validation frames (val_size)")
        return value

    def _check_together(self) -> None:
        if self.cutoff_lower >= self.cutoff_upper:
            raise ConfigError(
                f"cutoff_lower: got {self.cutoff_lower:g}, expected below cutoff_upper ({self.cutoff_upper:g})"
            )
        if self.derivative and self.atom_filter > -1:
            raise ConfigError(f"atom_filter: got {self.atom_filter}, expected -1 with derivative: true")
        if self.stress_weight > 0 and not self.derivative:
            raise ConfigError("stress_weight: needs derivative: true")
        if self.y_weight == 0 and self.stress_weight == 0 and (self.neg_dy_weight == 0 or not self.derivative):
            raise ConfigError("y_weight: got 0, but nothing else is trained on (neg_dy_weight needs derivative: true)")
        if self.box_vecs is not None and [len(row) for row in self.box_vecs] != [3, 3, 3]:
            raise ConfigError(f"box_vecs: got {self.box_vecs}, expected three rows of three numbers")
        metrics = [f"{stage}_total_{self.train_loss}" for stage in ("train", "val")]
        metrics += ["val_total_l1_loss"] * (self.train_loss != "l1_loss")
        for key in ("checkpoint_monitor", "early_stopping_monitor"):
            value = getattr(self, key)
            if value not in {None, "auto", *metrics}:
                raise ConfigError(f"{key}: got '{value}', expected auto, none or one of {', '.join(metrics)}")
