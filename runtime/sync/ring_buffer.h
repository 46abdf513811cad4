// RingBuffer<T>: a double-ended queue in one block of memory that grows by doubling and never
// shrinks. Internal; one thread at a time.
#ifndef PLAIT_RUNTIME_SYNC_RING_BUFFER_H_
#define PLAIT_RUNTIME_SYNC_RING_BUFFER_H_

#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace plait::internal {

template <class T>
class RingBuffer {
 public:
  RingBuffer() = default;
  RingBuffer(const RingBuffer&) = delete;
  RingBuffer& operator=(const RingBuffer&) = delete;
  ~RingBuffer() {
    while (size_ > 0) Pop();
    Free();
  }

  using Storage = RingBuffer;
  void Swap(Storage& other) noexcept {
    std::swap(items_, other.items_);
    std::swap(capacity_, other.capacity_);
    std::swap(first_, other.first_);
    std::swap(size_, other.size_);
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void Push(T&& value) {
    if (size_ == capacity_) Grow();
    ::new (static_cast<void*>(At(size_))) T(std::move(value));
    ++size_;
  }

  // Not when empty.
  T Pop() {
    T* front = At(0);
    T value = std::move(*front);
    std::destroy_at(front);
    first_ = (first_ + 1) & (capacity_ - 1);
    --size_;
    return value;
  }

 private:
  T* At(size_t index) { return items_ + ((first_ + index) & (capacity_ - 1)); }

  void Grow() {
    const size_t capacity = capacity_ == 0 ? 8 : capacity_ * 2;
    T* items = std::allocator<T>().allocate(capacity);
    for (size_t i = 0; i < size_; ++i) {
      ::new (static_cast<void*>(items + i)) T(std::move(*At(i)));
      std::destroy_at(At(i));
    }
    Free();
    items_ = items;
    capacity_ = capacity;
    first_ = 0;
  }

  void Free() {
    if (items_ != nullptr) std::allocator<T>().deallocate(items_, capacity_);
  }

  T* items_ = nullptr;
  size_t capacity_ = 0;  // a power of two, or 0
  size_t first_ = 0;
  size_t size_ = 0;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_SYNC_RING_BUFFER_H_
