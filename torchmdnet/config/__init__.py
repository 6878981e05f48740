"""Typed configuration: the only schema of YAML files, command line and checkpoints."""

from torchmdnet.config.arguments import given_options, parse_arguments, read_command_line, read_yaml
from torchmdnet.config.config import Config, ConfigError, build_parser, nearest
from torchmdnet.config.schema import OPTION_GROUPS

__all__ = [
    "OPTION_GROUPS",
    "Config",
    "ConfigError",
    "build_parser",
    "given_options",
    "nearest",
    "parse_arguments",
    "read_command_line",
    "read_yaml",
]
