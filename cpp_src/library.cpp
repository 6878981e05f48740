// Schemas of all ops, one line each, and their kernels. Fake kernels and autograd are registered in Python.
#include "torch_abi.h"

namespace torchmdnet {

void tensor_message(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);
void tensor_message_weight(StableIValue* stack, uint64_t num_args, uint64_t num_outputs);

namespace {

struct Op {
  const char* name;
  const char* schema;
  void (*cpu)(StableIValue*, uint64_t, uint64_t);
};

constexpr Op kOps[] = {
    {"tensor_message", "tensor_message(Tensor weight, Tensor x, Tensor sender, Tensor row_ptr, Tensor pair) -> Tensor",
     tensor_message},
    {"tensor_message_weight",
     "tensor_message_weight(Tensor x, Tensor y, Tensor sender, Tensor row_ptr, Tensor pair, Tensor rows) -> Tensor",
     tensor_message_weight},
};

struct Registration {
  Registration() {
    // The handles live as long as the process: deleting them would take the ops away.
    TorchLibraryHandle define, implement;
    TMD_CHECK(aoti_torch_library_init_def("torchmdnet", __FILE__, __LINE__, &define));
    TMD_CHECK(aoti_torch_library_init_impl("torchmdnet", "CPU", __FILE__, __LINE__, &implement));
    for (const Op& op : kOps) {
      TMD_CHECK(aoti_torch_library_def(define, op.schema));
      TMD_CHECK(torch_library_impl(implement, op.name, op.cpu, kAbiVersion));
    }
  }
} registration;

}  // namespace
}  // namespace torchmdnet
