"""Options as text, for scripts that parse their own with ``argparse``: a size, and a file of all options."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import yaml

__all__ = ["number", "save_argparse"]


def number(text: str | float | None) -> int | float | None:
    """A size from the command line: whole numbers count frames, others are a fraction, and ``None`` is the rest.

    Raises:
        ValueError: the text is none of these.
    """
    if text is None or text == "None":
        return None
    if isinstance(text, int | float):
        return text
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    raise ValueError(f"{text!r} is no number; write a count such as 100, a fraction such as 0.1, or None")


def save_argparse(args: Namespace, filename: str | Path, exclude: Sequence[str] | None = None) -> None:
    """Write parsed arguments to a YAML file, sorted by name.

    Args:
        args: what ``parse_args`` returned; values are numbers, text, and lists and dictionaries of them.
        filename: ends in ``.yaml`` or ``.yml``.
        exclude: arguments to leave out.

    Raises:
        ValueError: the file has another ending, or a value cannot be written as YAML.
    """
    path = Path(filename).expanduser()
    if path.suffix not in {".yaml", ".yml"}:
        raise ValueError(f"{str(filename)!r} ends in {path.suffix or 'nothing'}; a name in .yaml or .yml was expected")
    left_out = {exclude} if isinstance(exclude, str) else {*(exclude or ())}
    kept = {key: value for key, value in vars(args).items() if key not in left_out}
    for key, value in kept.items():
        try:
            yaml.safe_dump(value)
        except yaml.YAMLError as error:
            raise ValueError(f"{key}: {value!r} cannot be written as YAML; exclude it, or make it text") from error
    path.write_text(yaml.safe_dump(kept, sort_keys=True))
