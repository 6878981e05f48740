"""What ``inference.py`` writes of its rows, as Markdown."""

from collections.abc import Callable, Iterator

import numpy as np
from inference_cases import MODELS
from inference_cost import COUNTS, cost
from inference_race import ONE_THREAD, Row
from inference_ways import WAYS
from report import notes, table

FEMTOSECONDS_PER_NANOSECOND = 1e6
SECONDS_PER_DAY = 86_400
PAIRS = (("peer", "tables"), ("peer-external", "external"), ("peer-compiled", "compiled"))
"""TorchMD-NET's ways on a GPU, and ours of the same kind."""
PROCESSES = (
    "Two processes/one: calls a second of two processes of one thread each at the same time, over those of one alone: "
    "as much as two threads can reach on this machine. One thread/threads is what they do."
)


def shown(system: str) -> str:
    """A size as it is printed."""
    return system.replace("x", " x ")


def cell(row: Row, kind: str, number: Callable[[Row, str], str]) -> str:
    """A number of an entry, or one word on why there is none."""
    return number(row, kind) if kind in row.entries else row.reasons.get(kind, "").split(":")[0]


def milliseconds(row: Row, kind: str) -> str:
    """Median time."""
    return f"{1e3 * row.entries[kind].seconds:.4g}"


def megabytes(row: Row, kind: str) -> str:
    """Peak memory."""
    return f"{row.entries[kind].peak / 1e6:.0f}"


def activities(row: Row, kind: str) -> str:
    """Kernels, copies and orders of a call."""
    found = row.entries[kind].activities
    return "{kernels} + {copies} ({launches})".format(**found) if found else ""


def ready(row: Row, kind: str) -> str:
    """Seconds until calls are as fast as they will be."""
    return f"{row.entries[kind].ready + row.entries[kind].first:.2f}"


def ratio(row: Row, slow: str, fast: str) -> str:
    """How many times as long ``slow`` takes."""
    if slow not in row.entries or fast not in row.entries:
        return ""
    return f"{row.entries[slow].seconds / row.entries[fast].seconds:.2f}"


def fastest_ratio(row: Row) -> str:
    """The fastest way of TorchMD-NET over our fastest."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for kind, entry in row.entries.items():
        if kind in WAYS:
            times[WAYS[kind].distribution == "torchmdnet"].append(entry.seconds)
    return f"{min(times[False]) / min(times[True]):.2f}" if all(times.values()) else ""


def times_table(rows: list[Row], kinds: list[str]) -> str:
    """Times and memory on a CPU."""
    title = ["model", "threads", "atoms", *(f"{WAYS[kind].title} ms" for kind in kinds)]
    ours = [kind for kind in kinds if kind != "peer"]
    title += [f"TorchMD-NET/{kind}" for kind in ours]
    title += ["one thread/threads", "two processes/one", *(f"{WAYS[kind].title} MB" for kind in kinds)]

    def cells(row: Row) -> Iterator[object]:
        yield from (row.model, row.threads, shown(row.system), *(cell(row, kind, milliseconds) for kind in kinds))
        yield from (ratio(row, "peer", kind) for kind in ours)
        yield ratio(row, ONE_THREAD, "tables")
        yield "" if row.together is None else f"{row.together:.2f}"
        yield from (megabytes(row, kind) if kind in row.entries else "" for kind in kinds)

    text = PROCESSES + "\n\n" if any(row.together for row in rows) else ""
    return "## Energy and forces\n\n" + text + table(title, (list(cells(row)) for row in rows))


def of_kinds(heading: str, rows: list[Row], kinds: list[str], number: Callable[[Row, str], str]) -> str:
    """A number for each way on a GPU."""
    title = ["model", "atoms", *(WAYS[kind].title for kind in kinds)]
    body = ([row.model, shown(row.system), *(cell(row, kind, number) for kind in kinds)] for row in rows)
    return f"## {heading}\n\n" + table(title, body)


def cuda_times_table(rows: list[Row], kinds: list[str]) -> str:
    """Times on a GPU, and ratios of like to like."""
    pairs = [(peer, ours) for peer, ours in PAIRS if peer in kinds and ours in kinds]
    title = ["model", "atoms", "edges/atom", *(f"{WAYS[kind].title} ms" for kind in kinds)]
    title += [f"{WAYS[peer].title}/{WAYS[ours].title}" for peer, ours in pairs]
    title += ["fastest TorchMD-NET/fastest of ours"]
    body = (
        [
            *(row.model, shown(row.system), f"{row.edges / row.num_atoms:.1f}"),
            *(cell(row, kind, milliseconds) for kind in kinds),
            *(ratio(row, peer, ours) for peer, ours in pairs),
            fastest_ratio(row),
        ]
        for row in rows
    )
    return "## Energy and forces\n\n" + table(title, body)


def steps_table(rows: list[Row], kinds: list[str], time_step: float) -> str:
    """Steps a second and what they come to in a day, if energy and forces are all that a step is."""

    def number(row: Row, kind: str) -> str:
        steps = 1.0 / row.entries[kind].seconds
        return f"{steps:.4g} ({steps * SECONDS_PER_DAY * time_step / FEMTOSECONDS_PER_NANOSECOND:.3g})"

    return of_kinds(f"Steps a second (ns a day with {time_step:g} fs)", rows, kinds, number)


def differences_table(rows: list[Row]) -> str:
    """Differences between ways."""
    body = (
        [row.model, row.threads, row.system, compared, f"{energy:.1e}", f"{forces:.1e}"]
        for row in rows
        for compared, (energy, forces) in row.differences.items()
    )
    return "## Differences\n\n" + table(["model", "threads", "atoms", "compared", "energies", "forces"], body)


def first_calls_table(rows: list[Row], kinds: list[str]) -> str:
    """Differences, and first calls of processes, on a CPU."""
    title = ["model", "threads", "atoms", "compared", "energies", "forces"]
    title += ["s for tables", *(f"s {WAYS[kind].title}, first call" for kind in kinds)]

    def cells(row: Row, compared: str, pair: tuple[float, float]) -> list[object]:
        first = [f"{row.entries[kind].first:.2f}" if kind in row.entries else "" for kind in kinds]
        building = f"{row.entries['tables'].building:.2f}" if "tables" in row.entries else ""
        return [row.model, row.threads, row.system, compared, *(f"{value:.1e}" for value in pair), building, *first]

    body = (
        cells(row, compared, pair)
        for row in rows
        for compared, pair in (row.differences or {"": (np.nan, np.nan)}).items()
    )
    return "## Differences, and the first call of a process\n\n" + table(title, body)


def reasons(rows: list[Row]) -> str:
    """Why columns are empty."""
    return notes(
        "Empty columns, in the words of the libraries:",
        (
            f"{row.model}, {row.system} atoms, {row.threads} threads, "
            f"{WAYS[kind].title if kind in WAYS else kind}: {why}"
            for row in rows
            for kind, why in row.reasons.items()
        ),
    )


def roofline_table(rows: list[Row], kind: str) -> str:
    """What a way with tables reaches of what the processor does, by the counts of ``inference_cost.py``."""
    title = ["model", "threads", "atoms", "edges/atom", "µs/atom", "kflop/atom", "kB/atom", "kB/atom of edges"]
    title += ["GFLOP/s", "peak", "% of it", "GB/s", "peak", "% of it", "GB/s of edges"]
    body = [
        _roofline_cells(row, kind)
        for row in rows
        if kind in row.entries and row.edges and "flops" in row.machine and MODELS[row.model]["model"] in COUNTS
    ]
    about = "Peaks of the same process, after the row: a product of matrices, and a = b + 2 c in memory."
    heading = "the tables' path" if kind == "tables" else f"tables in a {WAYS[kind].title}"
    return f"## Cost of {heading}, and what it reaches\n\n{about}\n\n" + table(title, body)


def _roofline_cells(row: Row, kind: str) -> list[object]:
    edges = row.edges / row.num_atoms
    each = cost(MODELS[row.model], edges)
    seconds = row.entries[kind].seconds / row.num_atoms
    flops, bandwidth = row.machine["flops"], row.machine["bandwidth"]
    return [
        *(row.model, row.threads, row.system, f"{edges:.1f}", f"{1e6 * seconds:.4g}"),
        *(f"{value / 1e3:.0f}" for value in each),
        *(f"{each.flops / seconds / 1e9:.1f}", f"{flops / 1e9:.0f}", f"{100 * each.flops / seconds / flops:.0f}"),
        *(f"{each.traffic / seconds / 1e9:.1f}", f"{bandwidth / 1e9:.1f}"),
        *(f"{100 * each.traffic / seconds / bandwidth:.0f}", f"{each.gathered / seconds / 1e9:.1f}"),
    ]


def cpu_report(rows: list[Row], kinds: list[str]) -> list[str]:
    """All that rows on a CPU tell."""
    return [
        times_table(rows, kinds),
        reasons(rows),
        first_calls_table(rows, kinds),
        roofline_table(rows, "tables"),
    ]


def cuda_report(rows: list[Row], kinds: list[str], *, time_step: float) -> list[str]:
    """All that rows on a GPU tell."""
    return [
        cuda_times_table(rows, kinds),
        reasons(rows),
        steps_table(rows, kinds, time_step),
        of_kinds("Peak memory of tensors, MB", rows, kinds, megabytes),
        of_kinds("Kernels + copies (launches by the CPU) of a call", rows, kinds, activities),
        of_kinds("Seconds until the first call that counts is over", rows, kinds, ready),
        differences_table(rows),
        roofline_table(rows, next((kind for kind in ("graph", "tables") if kind in kinds), "tables")),
    ]
