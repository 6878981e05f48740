// Memory for numbers that are written before they are read.
#pragma once
#include <cstdint>
#include <memory>

namespace torchmdnet {

// Numbers that nobody has set.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t size) : numbers_(new T[size]) {}
  T* data() { return numbers_.get(); }

 private:
  std::unique_ptr<T[]> numbers_;
};

}  // namespace torchmdnet
