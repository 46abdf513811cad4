// GuardedBuffer: memory on pages of its own, which nobody can touch any more once it is released.
//
// The sanitizers do not see what the kernel writes for io_uring, so a buffer that is freed while an
// operation is in flight goes unnoticed by them. Here the pages turn PROT_NONE on release: a late
// system call then ends with -EFAULT, and a late access of the program's own with a crash, every
// time. The address range stays taken until the program ends, so that nothing else can come to lie
// there.
#ifndef PLAIT_RUNTIME_TESTING_GUARDED_BUFFER_H_
#define PLAIT_RUNTIME_TESTING_GUARDED_BUFFER_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace plait {

class GuardedBuffer {
 public:
  // `size` zero bytes that end where an unreadable page begins, so that one byte too many is a
  // fault as well.
  explicit GuardedBuffer(size_t size);
  // Holding `content`.
  explicit GuardedBuffer(absl::string_view content);
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;
  ~GuardedBuffer() { Release(); }

  char* data() const { return data_; }
  size_t size() const { return size_; }
  absl::Span<char> span() const { return absl::Span<char>(data_, size_); }
  // The first `size` bytes.
  absl::string_view text(size_t size) const { return absl::string_view(data_, size); }

  // Makes the pages inaccessible; again does nothing.
  void Release();

 private:
  char* mapping_ = nullptr;
  size_t mapped_ = 0;
  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_GUARDED_BUFFER_H_
