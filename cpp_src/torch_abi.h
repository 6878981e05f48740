// The C functions of libtorch's stable ABI that the ops use, declared here so that no torch is needed to build them.
// libtorch_cpu exports all of them since 2.10. A small owning wrapper makes them safe to use.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>

extern "C" {
typedef int32_t AOTITorchError;
typedef struct AtenTensorOpaque* AtenTensorHandle;
typedef struct TorchLibraryOpaque* TorchLibraryHandle;
typedef uint64_t StableIValue;
typedef void (*ParallelFunc)(int64_t begin, int64_t end, void* context);

AOTITorchError aoti_torch_library_init_def(const char* ns, const char* file, uint32_t line, TorchLibraryHandle*);
AOTITorchError aoti_torch_library_init_impl(const char* ns, const char* key, const char* file, uint32_t line,
                                            TorchLibraryHandle*);
AOTITorchError aoti_torch_library_def(TorchLibraryHandle, const char* schema);
AOTITorchError torch_library_impl(TorchLibraryHandle, const char* name, void (*)(StableIValue*, uint64_t, uint64_t),
                                  uint64_t version);
AOTITorchError aoti_torch_delete_tensor_object(AtenTensorHandle);
AOTITorchError torch_get_mutable_data_ptr(AtenTensorHandle, void**);
AOTITorchError torch_get_const_data_ptr(AtenTensorHandle, const void**);
AOTITorchError aoti_torch_get_dim(AtenTensorHandle, int64_t*);
AOTITorchError aoti_torch_get_size(AtenTensorHandle, int64_t axis, int64_t*);
AOTITorchError aoti_torch_is_contiguous(AtenTensorHandle, bool*);
AOTITorchError aoti_torch_get_dtype(AtenTensorHandle, int32_t*);
AOTITorchError aoti_torch_get_device_type(AtenTensorHandle, int32_t*);
AOTITorchError aoti_torch_get_device_index(AtenTensorHandle, int32_t*);
AOTITorchError aoti_torch_empty_strided(int64_t dim, const int64_t* sizes, const int64_t* strides, int32_t dtype,
                                        int32_t device_type, int32_t device_index, AtenTensorHandle*);
AOTITorchError aoti_torch__reinterpret_tensor(AtenTensorHandle, int64_t dim, const int64_t* sizes,
                                              const int64_t* strides, int64_t offset, AtenTensorHandle*);
AOTITorchError torch_parallel_for(int64_t begin, int64_t end, int64_t grain, ParallelFunc, void* context);
AOTITorchError torch_get_num_threads(uint32_t*);
int32_t aoti_torch_dtype_float32();
int32_t aoti_torch_dtype_float64();
int32_t aoti_torch_dtype_int64();
int32_t aoti_torch_dtype_int32();
int32_t aoti_torch_dtype_bool();
}

namespace torchmdnet {

// The ABI of torch 2.10, as torch_library_impl wants it.
constexpr uint64_t kAbiVersion = (2ULL << 56) | (10ULL << 48);

[[noreturn]] inline void fail(const std::string& message) { throw std::runtime_error("torchmdnet: " + message); }

inline void check(AOTITorchError error, const char* what) {
  if (error) fail(std::string("libtorch call failed: ") + what);
}
#define TMD_CHECK(call) ::torchmdnet::check((call), #call)

// Called for every edge: the text is put together only when there is something to say.
inline void require(bool condition, const char* message) {
  if (!condition) fail(message);
}

// Owns one reference to a tensor.
class Tensor {
 public:
  explicit Tensor(AtenTensorHandle handle) : handle_(handle) {}
  explicit Tensor(StableIValue value) { std::memcpy(&handle_, &value, sizeof handle_); }
  Tensor(Tensor&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;
  ~Tensor() {
    if (handle_) aoti_torch_delete_tensor_object(handle_);
  }

  int64_t dim() const { return ask<int64_t>(aoti_torch_get_dim); }
  int32_t dtype() const { return ask<int32_t>(aoti_torch_get_dtype); }
  int32_t device_type() const { return ask<int32_t>(aoti_torch_get_device_type); }
  int32_t device_index() const { return ask<int32_t>(aoti_torch_get_device_index); }
  bool contiguous() const { return ask<bool>(aoti_torch_is_contiguous); }
  int64_t size(int64_t axis) const {
    int64_t size;
    TMD_CHECK(aoti_torch_get_size(handle_, axis, &size));
    return size;
  }
  template <class T>
  const T* data() const {
    const void* pointer;
    TMD_CHECK(torch_get_const_data_ptr(handle_, &pointer));
    return static_cast<const T*>(pointer);
  }
  template <class T>
  T* mutable_data() const {
    void* pointer;
    TMD_CHECK(torch_get_mutable_data_ptr(handle_, &pointer));
    return static_cast<T*>(pointer);
  }
  // A contiguous tensor of this one's type and device, not filled.
  Tensor empty_like(std::initializer_list<int64_t> sizes) const { return empty(sizes, dtype()); }
  // A contiguous tensor of the given type on this one's device, not filled.
  Tensor empty(std::initializer_list<int64_t> sizes, int32_t type) const {
    int64_t strides[8], stride = 1;
    for (int64_t axis = static_cast<int64_t>(sizes.size()) - 1; axis >= 0; --axis) {
      strides[axis] = stride;
      stride *= sizes.begin()[axis] > 0 ? sizes.begin()[axis] : 1;
    }
    const int64_t dim = static_cast<int64_t>(sizes.size()), one = 1;
    if (device_type() != kCpu || stride < kManyNumbers) return allocate(dim, sizes.begin(), strides, type);
    const int64_t room = stride + next_slack();
    const Tensor roomy = allocate(1, &room, &one, type);
    AtenTensorHandle handle;
    TMD_CHECK(aoti_torch__reinterpret_tensor(roomy.handle_, dim, sizes.begin(), strides, 0, &handle));
    return Tensor(handle);
  }
  // The reference, which stays this one's.
  AtenTensorHandle handle() const { return handle_; }
  // Hands the reference over to the caller of the op.
  StableIValue release() {
    StableIValue value = 0;
    AtenTensorHandle handle = std::exchange(handle_, nullptr);
    std::memcpy(&value, &handle, sizeof handle);
    return value;
  }

 private:
  static constexpr int32_t kCpu = 0;
  static constexpr int64_t kManyNumbers = int64_t(1) << 18;

  // Numbers more for a large array, fewer by a step each time. GNU's C library takes some bytes for aligned memory that
  // it gives back when it has found a place, and small things settle there: the gap that an array leaves behind is too
  // small for the next one of the same size, and would stay. A smaller array fits, so that memory is used again.
  static int64_t next_slack() {
    constexpr int64_t kStep = 32, kSteps = 1024;
    static std::atomic<uint64_t> count{0};
    return kStep * (kSteps - 1 - static_cast<int64_t>(count++ % kSteps));
  }
  Tensor allocate(int64_t dim, const int64_t* sizes, const int64_t* strides, int32_t type) const {
    AtenTensorHandle handle;
    TMD_CHECK(aoti_torch_empty_strided(dim, sizes, strides, type, device_type(), device_index(), &handle));
    return Tensor(handle);
  }
  template <class T>
  T ask(AOTITorchError (*question)(AtenTensorHandle, T*)) const {
    T answer;
    check(question(handle_, &answer), "property of a tensor");
    return answer;
  }
  AtenTensorHandle handle_ = nullptr;
};

inline void require_float(const Tensor& tensor, const char* message) {
  const int32_t dtype = tensor.dtype();
  require(dtype == aoti_torch_dtype_float32() || dtype == aoti_torch_dtype_float64(), message);
}

// An argument of an op that is no tensor: bool, int64_t or double.
template <class T>
T argument(StableIValue value) {
  T out;
  std::memcpy(&out, &value, sizeof out);
  return out;
}

// Calls body(T()) for the type T of a tensor of float32 or float64.
template <class Body>
void for_type(const Tensor& tensor, const Body& body) {
  if (tensor.dtype() == aoti_torch_dtype_float32())
    body(float());
  else
    body(double());
}

// Calls body(begin, end) on libtorch's threads for parts of [0, count).
template <class Body>
void parallel_for(int64_t count, int64_t grain, const Body& body) {
  TMD_CHECK(torch_parallel_for(
      0, count, grain > 0 ? grain : 1,
      [](int64_t begin, int64_t end, void* context) { (*static_cast<const Body*>(context))(begin, end); },
      const_cast<Body*>(&body)));
}

}  // namespace torchmdnet
