"""Loops whose threads help each other out (``cpp_src/cpu/parallel_chunks.h``)."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

SOURCE = """
#include <chrono>
#include <thread>

#include "cpu/parallel_chunks.h"

using namespace torchmdnet;

// count_visits(rows, grain, waits) -> times that each row was visited. If the chunk of the first row waits, it is
// left only when all rows have been visited, or after half a minute, which counts as another visit.
void count_visits(StableIValue* stack, uint64_t, uint64_t) {
  const Tensor rows(stack[0]);
  const int64_t grain = argument<int64_t>(stack[1]), count = rows.size(0);
  const bool waits = argument<bool>(stack[2]);
  Tensor visits = rows.empty({count}, aoti_torch_dtype_int64());
  int64_t* times = visits.mutable_data<int64_t>();
  std::fill_n(times, count, 0);
  std::atomic<int64_t> num_visited{0};
  parallel_chunks(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) ++times[row];
    num_visited += end - begin;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (waits && begin == 0 && num_visited < count) {
      if (std::chrono::steady_clock::now() > deadline) {
        ++times[0];
        break;
      }
      std::this_thread::yield();
    }
  });
  stack[0] = visits.release();
}

struct Registration {
  Registration() {
    TorchLibraryHandle define, implement;
    TMD_CHECK(aoti_torch_library_init_def("torchmdnet_chunks", __FILE__, __LINE__, &define));
    TMD_CHECK(aoti_torch_library_init_impl("torchmdnet_chunks", "CPU", __FILE__, __LINE__, &implement));
    TMD_CHECK(aoti_torch_library_def(define, "count_visits(Tensor rows, int grain, bool waits) -> Tensor"));
    TMD_CHECK(torch_library_impl(implement, "count_visits", count_visits, kAbiVersion));
  }
} registration;
"""


@pytest.fixture(scope="module")
def count_visits(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("chunks")
    source, library = folder / "chunks.cpp", folder / "libchunks.so"
    source.write_text(SOURCE)
    headers, torchs = Path(__file__).parents[2] / "cpp_src", Path(torch.__file__).parent / "lib"
    command = ["c++", "-std=c++17", "-O1", "-shared", "-fPIC", f"-I{headers}", str(source), "-o", str(library)]
    try:
        subprocess.run([*command, f"-L{torchs}", "-ltorch_cpu"], check=True)
    except FileNotFoundError:
        pytest.skip("no C++ compiler c++")
    torch.ops.load_library(str(library))
    return torch.ops.torchmdnet_chunks.count_visits


@pytest.fixture(params=[1, 2, 3, 5])
def num_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("grain", [0, 1, 3, 400, 5000])
@pytest.mark.usefixtures("num_threads")
def test_visits_each_item_once(count_visits: Any, count: int, grain: int) -> None:
    assert torch.equal(count_visits(torch.empty(count), grain, False), torch.ones(count, dtype=torch.int64))


@pytest.mark.parametrize("num_threads", [2, 5], indirect=True)
@pytest.mark.usefixtures("num_threads")
def test_a_thread_that_is_held_up_keeps_nothing_but_its_chunk(count_visits: Any) -> None:
    assert torch.equal(count_visits(torch.empty(1000), 1, True), torch.ones(1000, dtype=torch.int64))
