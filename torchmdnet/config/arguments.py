"""Options from the command line, a YAML file and a checkpoint, in that order of precedence."""

import dataclasses
import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonargparse
import yaml

from torchmdnet.config.config import Config, ConfigError, build_parser, nearest

__all__ = ["given_options", "parse_arguments", "read_command_line", "read_yaml"]

_SHORT = {"-c": "conf", "-l": "log_dir", "-h": "help"}


def parse_arguments(
    argv: Sequence[str] | None = None, *, checkpoint_options: Mapping[str, Any] | None = None
) -> Config:
    """The configuration of a run.

    Args:
        argv: The command line; by default that of the process.
        checkpoint_options: Options stored in the checkpoint that ``load_model`` names. They stand below the YAML file.

    Raises:
        ConfigError: Something cannot be used; the text is one line.
        SystemExit: After ``--help``.
    """
    given = read_command_line(sys.argv[1:] if argv is None else argv)
    from_yaml = read_yaml(given["conf"]) if given.get("conf") else {}
    if given.get("load_model") and from_yaml.get("load_model") not in {None, given["load_model"]}:
        warnings.warn(
            f"load_model: {given['load_model']} of the command line is used, not {from_yaml['load_model']} of the file",
            stacklevel=2,
        )
    base = {key: value for key, value in (checkpoint_options or {}).items() if key in Config.option_names()}
    base.pop("conf", None)
    return Config.from_dict(base | from_yaml | given)


def given_options(argv: Sequence[str]) -> dict[str, Any]:
    """Options of the command line over those of the YAML file that it names, typed; no defaults."""
    given = read_command_line(argv)
    return (read_yaml(given["conf"]) if given.get("conf") else {}) | given


def read_command_line(argv: Sequence[str]) -> dict[str, Any]:
    """Options given on the command line, typed: ``--batch-size 8``, ``--batch_size=8``, ``--derivative``.

    Several words after an option make a list; a boolean option without a word is true.
    """
    options: dict[str, list[str]] = {}
    key = None
    for token in argv:
        if token.startswith("--") or token in _SHORT:
            name, equals, value = token.partition("=")
            key = _option_name(name)
            options[key] = [value] if equals else []
        elif key is None:
            raise ConfigError(f"'{token}' belongs to no option; options start with --")
        else:
            options[key].append(token)
    return Config.convert({key: _value(key, words) for key, words in options.items()}, source="command line")


def _option_name(token: str) -> str:
    key = _SHORT.get(token) or token[2:].replace("-", "_")
    if key == "help":
        build_parser().print_help()
        raise SystemExit(0)
    if key not in Config.option_names():
        known = [name.replace("_", "-") for name in Config.option_names()]
        raise ConfigError(
            f"unknown option '{token}'" + nearest(token[2:].replace("_", "-"), known).replace("'", "'--", 1)
        )
    return key


def _value(key: str, words: list[str]) -> Any:
    kind = next(item.type for item in dataclasses.fields(Config) if item.name == key)
    if not words:
        if kind is bool or kind == bool | None:
            return True
        raise ConfigError(f"{key}: no value was given on the command line")
    if len(words) > 1:
        if "list" not in str(kind):
            raise ConfigError(f"{key}: takes one value, got {' '.join(words)!r} on the command line")
        return [_decoded(word) for word in words]
    return _decoded(words[0])


def _decoded(word: str) -> Any:
    """Mappings and lists are written as JSON or YAML flow; all else is read by the option's type."""
    if not word.strip().startswith(("{", "[")):
        return word
    try:
        return json.loads(word)
    except json.JSONDecodeError:
        return _load_yaml(word, source=f"'{word}'")


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The options in a YAML file, typed; ``1e-4`` is a number."""
    file = Path(path).expanduser()
    if file.suffix not in {".yaml", ".yml"}:
        raise ConfigError(f"conf: got '{path}', expected a file that ends in .yaml or .yml")
    if not file.is_file():
        raise ConfigError(f"conf: there is no file '{path}'")
    options = _load_yaml(file.read_text(), source=f"'{path}'")
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise ConfigError(f"conf: '{path}' holds {type(options).__name__}, expected lines of 'option: value'")
    return Config.convert(options, source=str(path))


def _load_yaml(text: str, *, source: str) -> Any:
    try:
        return jsonargparse.get_loader("yaml")(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
