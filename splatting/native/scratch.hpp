// Memory that a thread keeps between calls, so that a training step does not pay for fresh pages. Not initialised.
#pragma once

#include <cstdint>
#include <memory>

namespace fewview::splatting {

template <typename T>
class Scratch {
 public:
  T* take(int64_t size) {
    // Gives back what a much larger scene once needed.
    if (size > capacity_ || capacity_ > 4 * size + (1 << 20)) {
      buffer_.reset();
      capacity_ = size + size / 4;
      buffer_.reset(static_cast<T*>(::operator new(capacity_ * sizeof(T), std::align_val_t(64))));
    }
    return buffer_.get();
  }

 private:
  struct Delete {
    void operator()(T* p) const { ::operator delete(p, std::align_val_t(64)); }
  };
  std::unique_ptr<T, Delete> buffer_;
  int64_t capacity_ = 0;
};

}  // namespace fewview::splatting
