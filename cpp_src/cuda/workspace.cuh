// Cuts one allocation into arrays.
#pragma once
#include "device.cuh"

namespace torchmdnet {

// Hands out addresses behind `base`; with a null base it only adds up what is needed.
class Workspace {
 public:
  explicit Workspace(char* base) : base_(base) {}

  template <class T>
  void take(T*& array, int64_t count) {
    array = base_ ? reinterpret_cast<T*>(base_ + size_) : nullptr;
    const int64_t end = size_ + count * static_cast<int64_t>(sizeof(T));
    size_ = divide_up(end, kAlignment) * kAlignment + kGuard;
    if (base_) guard_memory(base_ + end, base_ + size_);
  }
  int64_t size() const { return size_; }

 private:
  static constexpr int64_t kAlignment = 256;  // as torch's allocator gives; a transaction never straddles two arrays
  char* base_;
  int64_t size_ = 0;
};

}  // namespace torchmdnet
