"""One library of ``neighbors.py`` in a process of its own, which reads orders on stdin and answers on stdout in JSON.

    python benchmarks/neighbor_worker.py NAME --threads 1 --memory 12

It imports the library, then ``prepare`` makes the calls of a case and runs each to see that it works, ``measure`` times
one of them, and ``peak`` tells the most memory that the process held beyond what it held before.
"""

import argparse
import resource
import time
from typing import Any

import torch
from devices import DEVICES, Cpu, Cuda, until
from neighbor_cases import Case
from neighbor_libraries import LIBRARIES, Call, Library
from worker_protocol import KIB, serve


class Worker:
    """The state between orders: the calls of the present case."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.calls: dict[str, Call] = {}
        self.device: Cpu | Cuda = Cpu()
        self.memory_before = resident_bytes()

    def prepare(self, *, case: dict[str, Any], only: str | None, skip: list[str], fastest: bool) -> dict[str, Any]:
        """Run each call until it is warm; its seconds and pairs, or why it does not work.

        With ``fastest``, only the fastest call that finds the right number of pairs is kept, and named.
        """
        asked = Case(**case)
        self.calls = {}
        self.device = DEVICES[asked.device]()
        if why := self.device.why_not():
            return {"why": why}
        self.device.forget()
        if why := self.library.why_not(asked):
            return {"why": why}
        calls = self.library.calls(asked)
        tried: dict[str, dict[str, Any]] = {}
        best = ""
        for name in [name for name in calls if only in (None, name) and name not in skip]:
            call = calls.pop(name)
            found = self._try(call, asked)
            tried[name] = found
            if fastest and ("why" in found or (best and found["seconds"] >= tried[best]["seconds"])):
                continue
            if fastest:
                self.calls.clear()
            self.calls[name], best = call, name
        return {"calls": tried, "fastest": best, "broken": self._is_broken()}

    def _is_broken(self) -> bool:
        """Whether a call has left the GPU unusable for this process, as a fault in a kernel does."""
        try:
            self.device.rest()
        except RuntimeError:
            return True
        return False

    def _try(self, call: Call, case: Case) -> dict[str, Any]:
        found: dict[str, Any] = {"order": call.order}
        try:
            start = time.perf_counter()
            result = call.run()
            pairs = call.count(result)
            seconds = time.perf_counter() - start
            found |= {"pairs": pairs, "most": most(result)}
            del result
            for _ in range(3 if seconds < 0.05 else 1 if seconds < 1 else 0):
                seconds = min(seconds, self.device.timed(call.run))
            why = case.wrong(pairs) if case.num_pairs else ""
            return found | {"seconds": seconds} | ({"why": why} if why else {})
        except Exception as error:  # whatever a library says is the entry of its table
            lines = [line for line in str(error).splitlines() if line.strip()] or [""]
            return found | {"why": f"{type(error).__name__}: {lines[-1].strip()[:160]}"}

    def measure(self, *, call: str, seconds: float) -> dict[str, Any]:
        """Times of one call, after one that is not counted: what others did in between is not this library's."""
        run = self.calls[call].run
        run()
        times = until(seconds, lambda: self.device.timed(run))
        self.device.rest()
        return {"times": times}

    def peak(self) -> dict[str, Any]:
        """Bytes, beyond those before the first case."""
        most_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"bytes": most_kib * KIB - self.memory_before}

    def bandwidth(self, *, device: str) -> dict[str, Any]:
        """Bytes read and written per second by a copy."""
        found = {"bytes_per_second": DEVICES[device]().copy_bandwidth()}
        DEVICES[device]().rest()
        return found


def most(result: Any) -> int:
    """Most neighbours of an atom, where a result has row pointers."""
    row_ptr = getattr(result, "row_ptr", None)
    return int(row_ptr.diff().max()) if row_ptr is not None and len(row_ptr) > 1 else 0


def resident_bytes() -> int:
    """Memory of this process now."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def main() -> None:
    """Obey until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=[library.name for library in LIBRARIES])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory", type=float, required=True, help="GiB that the process may hold; 0: no limit")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    kind = next(library for library in LIBRARIES if library.name == options.name)
    with torch.no_grad():
        serve(lambda: Worker(kind()), distribution=kind.distribution, memory=options.memory)


if __name__ == "__main__":
    main()
