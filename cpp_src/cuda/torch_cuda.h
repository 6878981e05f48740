// libtorch's C functions for CUDA, declared like those of torch_abi.h and exported since 2.10: the stream and the products
// of matrices by libtorch_cuda, all else by libtorch_cpu.
#pragma once
#include <initializer_list>

#include "../torch_abi.h"
#include "device.cuh"

extern "C" {
typedef struct DeviceGuardOpaque* DeviceGuardHandle;

AOTITorchError aoti_torch_create_device_guard(int32_t device_index, DeviceGuardHandle*);
AOTITorchError aoti_torch_delete_device_guard(DeviceGuardHandle);
AOTITorchError aoti_torch_get_current_cuda_stream(int32_t device_index, void** stream);
AOTITorchError aoti_torch__reinterpret_tensor(AtenTensorHandle, int64_t dim, const int64_t* sizes,
                                              const int64_t* strides, int64_t offset, AtenTensorHandle*);
AOTITorchError aoti_torch_cuda_bmm_out(AtenTensorHandle out, AtenTensorHandle a, AtenTensorHandle b);
AOTITorchError aoti_torch_cuda_mm_out(AtenTensorHandle out, AtenTensorHandle a, AtenTensorHandle b);
AOTITorchError aoti_torch_cuda_addmm_out(AtenTensorHandle out, AtenTensorHandle added, AtenTensorHandle a,
                                         AtenTensorHandle b, double beta, double alpha);
int32_t aoti_torch_dtype_uint8();
int32_t aoti_torch_device_type_cuda();
}

namespace torchmdnet {

// Makes the device of the tensors the current one, as long as it lives, and knows torch's current stream there.
class OnDevice {
 public:
  // The first tensor says which device; the others must be on it.
  explicit OnDevice(std::initializer_list<const Tensor*> tensors) {
    const int32_t index = (*tensors.begin())->device_index();
    for (const Tensor* tensor : tensors)
      require(tensor->device_type() == aoti_torch_device_type_cuda() && tensor->device_index() == index,
              "all tensors must be on one CUDA device");
    TMD_CHECK(aoti_torch_create_device_guard(index, &guard_));
    void* stream;
    TMD_CHECK(aoti_torch_get_current_cuda_stream(index, &stream));
    stream_ = static_cast<Stream>(stream);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { aoti_torch_delete_device_guard(guard_); }

  Stream stream() const { return stream_; }

 private:
  DeviceGuardHandle guard_;
  Stream stream_;
};

// Memory for the time of a call: torch's allocator gives it to nobody else before the stream has got past the call.
inline Tensor scratch(const Tensor& like, int64_t bytes) { return like.empty({bytes}, aoti_torch_dtype_uint8()); }

}  // namespace torchmdnet
