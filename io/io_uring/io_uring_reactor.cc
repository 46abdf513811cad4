#include "plait/io/io_uring/io_uring_reactor.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "plait/io/io_uring/ring.h"
#include "plait/io/io_uring/ring_reactor.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"

namespace plait {

absl::StatusOr<std::unique_ptr<Reactor>> MakeIoUringReactor(IoUringOptions options) {
  const auto is_power_of_two = [](unsigned n) { return n > 0 && n <= 32768 && (n & (n - 1)) == 0; };
  if (!is_power_of_two(options.entries) || !is_power_of_two(options.max_buffers)) {
    return absl::InvalidArgumentError(absl::StrCat("io_uring reactor: entries (", options.entries,
                                                   ") and max_buffers (", options.max_buffers,
                                                   ") must be powers of two, at most 32768"));
  }
  if (options.buffer_size == 0 || options.first_buffers == 0) {
    return absl::InvalidArgumentError(
        "io_uring reactor: buffer_size and first_buffers must be positive");
  }
  if (absl::Status tried = internal::Ring::Try(options); !tried.ok()) return tried;
  const int wake = sys::Calls().EventFd();
  if (wake < 0) return ErrnoToStatus(wake, "io_uring reactor: eventfd");
  auto reactor = std::make_unique<internal::RingReactor>(options, wake);
  if (absl::Status opened = reactor->Open(); !opened.ok()) return opened;
  return reactor;
}

std::function<absl::StatusOr<std::unique_ptr<Reactor>>()> IoUringReactorFactory(
    IoUringOptions options) {
  return [options] { return MakeIoUringReactor(options); };
}

IoUringMultishotUse MultishotUseOf(const Reactor& reactor) {
  const internal::Multishots& multishots =
      static_cast<const internal::RingReactor&>(reactor).multishots();
  return {.buffers = multishots.buffers(),
          .buffers_with_kernel = multishots.buffers_with_kernel(),
          .armed = multishots.armed()};
}

}  // namespace plait
