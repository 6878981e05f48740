"""The neighbour lists that ``neighbors.py`` compares: one small class for each library.

Every call lists the full, directed pairs (i, j and j, i) of a case with what stands nearest in the library's interface
to i, j, cell shift, vector and distance; each class says what that is. Inputs lie in the form that the library takes
before the clock starts, and what it returns is left as it is. A library may offer several calls: all that find the
right number of pairs may race, and the fastest stands for the library.
"""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from neighbor_cases import Case, tensors


class Call(NamedTuple):
    """One way to list the pairs of a case."""

    run: Callable[[], Any]
    count: Callable[[Any], int]
    """Directed pairs in a result."""
    order: int = 1
    """The time grows with this power of the number of atoms, at least."""


def rows(result: Any) -> int:
    """Pairs of a result that begins with an array of a row for each pair."""
    return len(result[0])


def columns(result: Any) -> int:
    """Pairs of a result that begins with i and j as rows of a matrix."""
    return int(result[0].shape[1])


class Library:
    """A library, known by the distribution that holds it."""

    name = ""
    distribution = ""
    modules: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.loaded = [importlib.import_module(module) for module in self.modules]

    def why_not(self, case: Case) -> str:
        """Why the library has no list for a case; empty if it has one."""
        del case
        return ""

    def calls(self, case: Case) -> dict[str, Call]:
        """The ways to list the pairs."""
        raise TypeError(f"{type(self).__name__} says nothing of {case}")


class Here(Library):
    """list: i, j (int32), shift (with a cell), vector, distance, row pointers. graph: the Graph that models take."""

    name = "torchmdnet"
    distribution = "torchmdnet"
    modules = ("torchmdnet.neighbors", "torchmdnet.graph")

    def calls(self, case: Case) -> dict[str, Call]:
        neighbors, graph = self.loaded
        pos, batch, box, _ = tensors(case)
        cells = box.expand(case.num_systems, 3, 3).contiguous() if case.periodic else None
        system = graph.System(
            z=torch.ones_like(batch), pos=pos, batch=batch, num_systems=case.num_systems, box=cells, pbc=None
        )
        capacity = int(1.1 * case.num_pairs) if case.fixed else None

        def list_pairs() -> Any:
            return neighbors.neighbor_pairs(
                pos, batch, box=cells, num_systems=case.num_systems, cutoff_upper=case.cutoff, capacity=capacity
            )

        def build_graph() -> Any:
            return neighbors.neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=case.cutoff, loop=False)

        found = {"list": Call(list_pairs, lambda result: int(result.row_ptr[-1]))}
        return found if case.fixed else found | {"graph": Call(build_graph, lambda result: int(result.row_ptr[-1]))}


class Vesin(Library):
    """Pairs (int64), shift, vector, distance; unsorted. A batch is a loop over its systems, results left apart.

    torch: its interface to tensors. numpy: that to NumPy, for a single system with ``copy=False``, whose result lasts
    until the next call.
    """

    name = "vesin"
    distribution = "vesin-torch"
    modules = ("vesin", "vesin.torch")

    def why_not(self, case: Case) -> str:
        return "no fixed shape" if case.fixed else ""

    def calls(self, case: Case) -> dict[str, Call]:
        plain, wrapped = self.loaded
        box, systems = case.box().astype(case.dtype), case.positions().astype(case.dtype)
        options = {"cutoff": case.cutoff, "full_list": True, "n_threads": torch.get_num_threads()}

        def in_numpy() -> Callable[[], Any]:
            lists, copy = plain.NeighborList(**options), case.num_systems > 1
            return lambda: [lists.compute(pos, box, case.periodic, "PSdD", copy=copy) for pos in systems]

        def in_torch() -> Callable[[], Any]:
            lists = wrapped.NeighborList(**options)
            box_, systems_ = (torch.tensor(array, device=case.device) for array in (box, systems))
            return lambda: [lists.compute(pos, box_, case.periodic, "PSdD") for pos in systems_]

        def count(results: list[Any]) -> int:
            return sum(rows(result) for result in results)

        found = {"torch": Call(_once(in_torch), count)}
        if case.device == "cpu":
            found["numpy"] = Call(_once(in_numpy), count)
        return found


class Nvalchemi(Library):
    """list: i, j (int32), row pointers, shift, vector, distance. matrix: the same, padded to the most neighbours of an
    atom, in buffers of a prepared state, so that the result lasts until the next call. One CPU thread.
    """

    name = "nvalchemi"
    distribution = "nvalchemi-toolkit-ops"
    modules = ("nvalchemiops.torch.neighbors",)

    def calls(self, case: Case) -> dict[str, Call]:
        module = self.loaded[0]
        pos, batch, box, periodic = tensors(case)
        options: dict[str, Any] = {"cell": box, "pbc": periodic} if case.periodic else {}
        if case.num_systems > 1:
            starts = torch.arange(case.num_systems + 1, dtype=torch.int32, device=pos.device) * case.num_atoms
            options |= {"batch_idx": batch.int(), "batch_ptr": starts}
        options |= {"max_neighbors": -8 * (-case.most // 8), "return_distances": True, "return_vectors": True}

        def list_pairs(method: str | None) -> Any:
            return module.neighbor_list(pos, case.cutoff, method=method, return_neighbor_list=True, **options)

        def prepared(method: str | None) -> Callable[[], Any]:
            state = module.prepare_neighbor_list(pos, case.cutoff, method=method, **options)
            changing = {"cell": box} if case.periodic else {}
            return lambda: module.neighbor_list(pos, state=state, **changing)

        def count_matrix(result: Any) -> int:
            return int(result[1].sum())

        found = {}
        for method, order in (("cell_list", 1), ("naive", 2), *(() if case.device == "cpu" else ((None, 1),))):
            name = method or "auto"
            if not case.fixed:
                found[f"{name} list"] = Call(lambda method=method: list_pairs(method), columns, order)
            found[f"{name} matrix"] = Call(_once(lambda method=method: prepared(method)), count_matrix, order)
        return found


def _once(make: Callable[[], Callable[[], Any]]) -> Callable[[], Any]:
    """A call that is made when it is first needed, which is never within the measured time."""
    made: list[Callable[[], Any]] = []

    def run() -> Any:
        if not made:
            made.append(make())
        return made[0]()

    return run


class Matscipy(Library):
    """i, j, shift, vector, distance in NumPy, sorted by i; float64 whatever the row, one thread. A batch is a loop."""

    name = "matscipy"
    distribution = "matscipy"
    modules = ("matscipy.neighbours",)

    def why_not(self, case: Case) -> str:
        return "CPU only" if case.device != "cpu" else ""

    def calls(self, case: Case) -> dict[str, Call]:
        module = self.loaded[0]
        box, systems, periodic = case.box(), case.positions(), np.full(3, case.periodic)

        def run() -> list[Any]:
            return [
                module.neighbour_list("ijSDd", positions=pos, cell=box, pbc=periodic, cutoff=case.cutoff)
                for pos in systems
            ]

        return {"list": Call(run, lambda results: sum(rows(result) for result in results))}


class ASE(Library):
    """i, j, shift, vector, distance in NumPy, sorted by i; float64 whatever the row, one thread. A batch is a loop."""

    name = "ase"
    distribution = "ase"
    modules = ("ase.neighborlist",)

    def why_not(self, case: Case) -> str:
        return "CPU only" if case.device != "cpu" else ""

    def calls(self, case: Case) -> dict[str, Call]:
        module = self.loaded[0]
        box, systems, periodic = case.box(), case.positions(), [case.periodic] * 3

        def run() -> list[Any]:
            return [module.primitive_neighbor_list("ijSDd", periodic, box, pos, case.cutoff) for pos in systems]

        return {"list": Call(run, lambda results: sum(rows(result) for result in results))}


class TorchNL(Library):
    """i, j (int64), shift (floating), and distance by its ``compute_distances``. cell: linked cells; n2: all pairs."""

    name = "torch-nl"
    distribution = "torch-nl"
    modules = ("torch_nl",)

    def why_not(self, case: Case) -> str:
        return "no fixed shape" if case.fixed else ""

    def calls(self, case: Case) -> dict[str, Call]:
        module = self.loaded[0]
        pos, batch, box, periodic = tensors(case)
        cells, axes = box.repeat(case.num_systems, 1), periodic.repeat(case.num_systems, 1)

        def run(search: Any) -> Any:
            pairs, system, shift = search(case.cutoff, pos, cells, axes, batch, False)
            moved = module.compute_cell_shifts(cells, shift, system)
            return pairs, shift, module.compute_distances(pos, pairs, moved)

        found = {"cell": Call(lambda: run(module.compute_neighborlist), columns)}
        if case.num_atoms <= 100:
            found["n2"] = Call(lambda: run(module.compute_neighborlist_n2), columns, 2)
        return found


class TorchCluster(Library):
    """i, j (int64); vector and distance by plain PyTorch. No cells. Its limit is the most neighbours of an atom."""

    name = "torch_cluster"
    distribution = "torch_cluster"
    modules = ("torch_cluster",)

    def why_not(self, case: Case) -> str:
        return "no fixed shape" if case.fixed else "no cell" if case.periodic else ""

    def calls(self, case: Case) -> dict[str, Call]:
        module = self.loaded[0]
        pos, batch, _, _ = tensors(case)

        def run() -> Any:
            workers = torch.get_num_threads()
            pairs = module.radius_graph(pos, case.cutoff, batch, max_num_neighbors=case.most, num_workers=workers)
            vector = pos.index_select(0, pairs[0]) - pos.index_select(0, pairs[1])
            return pairs, vector, torch.linalg.vector_norm(vector, dim=1)

        return {"radius_graph": Call(run, columns)}


class TorchMDNet(Library):
    """i, j, vector, distance; no shift. Its limit is the number of pairs (fixed: 1.1 times that). One CPU thread."""

    name = "TorchMD-NET"
    distribution = "torchmd-net"
    modules = ("torchmdnet.models.utils",)

    def why_not(self, case: Case) -> str:
        return "narrow cell" if case.periodic and np.diag(case.box()).min() < 2 * case.cutoff else ""

    def calls(self, case: Case) -> dict[str, Call]:
        pos, batch, box, _ = tensors(case)
        found = {}
        for strategy, order in (("cell", 1), ("brute", 2)):
            search = (
                self.loaded[0]
                .OptimizedDistance(
                    cutoff_upper=case.cutoff,
                    max_num_pairs=int(1.1 * case.num_pairs) if case.fixed else case.num_pairs,
                    return_vecs=True,
                    strategy=strategy,
                    resize_to_fit=not case.fixed,
                    box=box if case.periodic else None,
                    long_edge_index=False,
                )
                .to(pos.device)
            )
            found[strategy] = Call(lambda search=search: search(pos, batch), _valid_columns, order)
        return found


def _valid_columns(result: Any) -> int:
    """Pairs of a result that is padded with -1."""
    return int((result[0][0] >= 0).sum())


LIBRARIES: tuple[type[Library], ...] = (
    Here,
    Vesin,
    Nvalchemi,
    Matscipy,
    TorchNL,
    ASE,
    TorchCluster,
    TorchMDNet,
)
