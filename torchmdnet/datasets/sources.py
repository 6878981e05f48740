"""The files a data set is made from: finding them by name or pattern, and telling whether they have changed."""

import glob
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Source", "SourceStat", "find_files", "hash_source", "stat_sources"]

PathLike = str | Path
CHUNK_BYTES = 1 << 22


class SourceStat(NamedTuple):
    """What can be read of a file without opening it."""

    path: str
    size: int
    mtime_ns: int


class Source(NamedTuple):
    """A file and the hash of its content."""

    stat: SourceStat
    content: str


def find_files(paths: PathLike | Sequence[PathLike], option: str = "dataset_root") -> list[Path]:
    """Expand names and patterns to files.

    Args:
        paths: one or several names or patterns (``*``, ``?``, ``[...]``); one string may hold several, parted by ``;``.
        option: the option to name in messages.

    Returns:
        Absolute paths: patterns in the order given, the files of one pattern sorted by name, none twice.

    Raises:
        FileNotFoundError: a name does not exist, or a pattern matches nothing.
    """
    items = [paths] if isinstance(paths, (str, Path)) else list(paths)
    names = [name.strip() for item in items for name in (item.split(";") if isinstance(item, str) else [str(item)])]
    names = [name for name in names if name]
    if not names:
        raise FileNotFoundError(f"{option} is empty; give the name of a file, several parted by ';', or a pattern")
    found: dict[Path, None] = {}
    for name in names:
        expanded = Path(name).expanduser()
        matches = _matching(expanded)
        if not matches:
            raise FileNotFoundError(_nothing_there(option, name, expanded))
        found.update(dict.fromkeys(matches))
    return list(found)


def _matching(pattern: Path) -> list[Path]:
    # abspath rather than resolve: a link keeps its own name and folder
    names = [str(pattern)] if pattern.is_file() else sorted(glob.glob(str(pattern), recursive=True))
    return [Path(os.path.abspath(name)) for name in names if Path(name).is_file()]


def _nothing_there(option: str, name: str, expanded: Path) -> str:
    if expanded.is_dir():
        return f"{option}: {name!r} is a folder; give the files in it, for example {str(expanded / '*')!r}"
    if glob.has_magic(str(expanded)):
        return f"{option}: no file matches {name!r} (looked in {Path.cwd()})"
    return f"{option}: there is no file {name!r} (looked for {Path.cwd() / expanded})"


def stat_sources(paths: Sequence[Path]) -> list[SourceStat]:
    """Size and time of change of each file."""
    return [SourceStat(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def hash_source(stat: SourceStat) -> Source:
    """Read a file once to hash its content."""
    digest = hashlib.sha256()
    with open(stat.path, "rb") as stream:
        while part := stream.read(CHUNK_BYTES):
            digest.update(part)
    return Source(stat, digest.hexdigest())
