#include "plait/runtime/testing/guarded_buffer.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plait/runtime/core/check.h"

namespace plait {

GuardedBuffer::GuardedBuffer(size_t size) : size_(size) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t usable = (size + page - 1) / page * page;
  mapped_ = usable + page;
  void* const mapping =
      ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  PLAIT_CHECK(mapping != MAP_FAILED, "no memory for a test buffer");
  mapping_ = static_cast<char*>(mapping);
  data_ = mapping_ + usable - size;
  PLAIT_CHECK(::mprotect(mapping_ + usable, page, PROT_NONE) == 0, "mprotect failed");
}

GuardedBuffer::GuardedBuffer(absl::string_view content) : GuardedBuffer(content.size()) {
  if (!content.empty()) memcpy(data_, content.data(), content.size());
}

void GuardedBuffer::Release() {
  if (mapping_ == nullptr) return;
  // Mapped anew, so that the memory itself goes back to the system; the addresses do not.
  void* const sealed = ::mmap(mapping_, mapped_, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  PLAIT_CHECK(sealed == mapping_, "sealing a test buffer failed");
  mapping_ = nullptr;
  data_ = nullptr;
  size_ = 0;
}

}  // namespace plait
