"""What ``neighbors.py`` writes of its rows, as Markdown."""

from collections.abc import Iterable, Iterator

from neighbor_libraries import LIBRARIES
from neighbor_race import ONE_THREAD, Row
from report import notes, table

PEERS = [library.name for library in LIBRARIES[1:]]
CUDA_PEERS = ["vesin", "nvalchemi", "TorchMD-NET"]
BYTES_PER_PAIR = {"float32": 36, "float64": 52}
"""i, j and three of shift of four bytes each, distance and three of vector of the dtype: written once."""
BYTES_PER_ATOM = {"float32": 12, "float64": 24}
"""A position: read once."""
TOGETHER = (
    "Two processes/one: lists a second of two processes of one thread each at the same time, over those of one alone: "
    "as much as two threads can reach on this machine. List/one thread is what they do."
)
Done = list[tuple[int, Row]]
"""Rows with their number of threads."""


def peers(found: Iterable[str], *, device: str) -> list[str]:
    """Those that take part, of those that were found."""
    there = set(found)
    return [name for name in (CUDA_PEERS if device == "cuda" else PEERS) if name in there]


def speed(row: Row, column: str) -> str:
    """Millions of pairs per second, or one word on why there are none."""
    if column in row.seconds:
        return f"{row.case.num_pairs / row.seconds[column] / 1e6:.3g}"
    return row.reasons.get(column, "").split(":")[0]


def ratio(row: Row, column: str, others: list[str]) -> tuple[float, str] | None:
    """How many times as fast a column is as the fastest of others, and which that is."""
    there = {name: row.seconds[name] for name in others if name in row.seconds}
    if not there or column not in row.seconds:
        return None
    name = min(there, key=lambda name: there[name])
    return there[name] / row.seconds[column], name


def shown(value: tuple[float, str] | None, *, name: bool = False) -> str:
    """A ratio."""
    if value is None:
        return ""
    return f"{value[0]:.2f} ({value[1]})" if name else f"{value[0]:.2f}"


def size(row: Row) -> str:
    """Atoms."""
    case = row.case
    return f"{case.num_systems} x {case.num_atoms}" if case.num_systems > 1 else f"{case.num_atoms}"


def speeds_table(done: Done, names: list[str]) -> str:
    """Speeds on a CPU."""
    columns = ["list", "graph", *names]
    title = ["threads", "atoms", "cell", "cutoff", "dtype", "pairs", *columns]
    title += ["list/fastest", "list/vesin", "graph/fastest", "list/one thread", "two processes/one"]
    body = (
        [
            *(threads, size(row), row.case.cell, f"{row.case.cutoff:g}", row.case.dtype, row.case.num_pairs),
            *(speed(row, column) for column in columns),
            *(shown(ratio(row, "list", names), name=True), shown(ratio(row, "list", ["vesin"]))),
            *(shown(ratio(row, "graph", names)), shown(ratio(row, "list", [ONE_THREAD]))),
            "" if row.together is None else f"{row.together:.2f}",
        ]
        for threads, row in done
    )
    text = TOGETHER + "\n\n" if any(row.together for _, row in done) else ""
    return "## Millions of pairs per second\n\n" + text + table(title, body)


def reasons(done: Done) -> str:
    """Why columns are empty."""
    return notes(
        "Empty columns, in the words of the libraries:",
        (f"{column}: {why}" for _, row in done for column, why in row.reasons.items()),
    )


def summary(done: Done, names: list[str]) -> str:
    """The least ratio of each kind, and where."""
    every = [row for _, row in done]
    large = [(threads, row) for threads, row in done if row.case.num_atoms >= 10_000]
    alone = [row for threads, row in large if threads == 1]
    kinds = {
        "list to the fastest peer, all rows": (every, "list", names),
        "graph to the fastest peer, all rows": (every, "graph", names),
        **{
            f"list to vesin, one thread, 10,000 atoms and more, {dtype}": (
                [row for row in alone if row.case.dtype == dtype],
                "list",
                ["vesin"],
            )
            for dtype in ("float32", "float64")
        },
        "list on several threads to one, 10,000 atoms and more": ([row for _, row in large], "list", [ONE_THREAD]),
    }
    lines = []
    for kind, (rows, column, others) in kinds.items():
        values = [(value, row.case) for row in rows if (value := ratio(row, column, others))]
        if values:
            (least, name), case = min(values, key=lambda pair: pair[0][0])
            where = f"{case.num_systems} x {case.num_atoms} atoms, {case.cell}, {case.cutoff:g} Å, {case.dtype}"
            lines.append(f"- {kind}: {least:.2f} ({name}; {where})")
    return "\n".join(["## Least ratios", "", *lines]) if lines else ""


def cuda_table(rows: list[Row], names: list[str], *, bandwidth: float) -> str:
    """Speeds on a GPU, with results of exact size and of fixed size, and fractions of its memory bandwidth.

    The fraction is the time that a copy needs for the bytes of the result, and of the positions, over the time taken.
    """
    columns = ["list", "graph", *names]
    title = ["atoms", "cutoff", "dtype", "size", "pairs", *columns, "list/fastest", "list µs", "calls"]
    body = (
        [
            *(row.case.num_atoms, f"{row.case.cutoff:g}", row.case.dtype, "fixed" if row.case.fixed else "exact"),
            row.case.num_pairs,
            *(with_roofline(row, column, bandwidth) for column in columns),
            shown(ratio(row, "list", names), name=True),
            f"{1e6 * row.seconds['list']:.4g}" if "list" in row.seconds else "",
            ", ".join(f"{name} {call}" for name, call in row.calls.items()),
        ]
        for row in rows
    )
    heading = f"## Millions of pairs per second (percent of a copy's {bandwidth / 1e9:.0f} GB/s)"
    return f"{heading}\n\n" + table(title, body)


def with_roofline(row: Row, column: str, bandwidth: float) -> str:
    """Speed, and the fraction of the copy bandwidth that the least traffic of the row would take."""
    if column not in row.seconds:
        return speed(row, column)
    case = row.case
    traffic = case.num_pairs * BYTES_PER_PAIR[case.dtype] + case.num_atoms * BYTES_PER_ATOM[case.dtype]
    return f"{speed(row, column)} ({100 * traffic / row.seconds[column] / bandwidth:.1f} %)"


def scaling_table(rows: Iterable[list[object]], names: list[str], cutoff: float) -> str:
    """Time and memory up to large systems."""
    title = ["threads", "atoms", "pairs"]
    title += [f"{name} {what}" for name in names for what in ("ns a pair", "MB", "bytes a pair")]
    return f"## Scaling: cubic, {cutoff:g} Å, float32\n\n" + table(title, rows)


def cpu_report(done: Done, names: list[str]) -> Iterator[str]:
    """All that rows on a CPU tell, but the scaling."""
    yield speeds_table(done, names)
    yield reasons(done)
    yield summary(done, names)
