// Keeps SIGPIPE away from a call that writes and has no flag against it.
#ifndef PLAIT_IO_SYSTEM_SIGPIPE_H_
#define PLAIT_IO_SYSTEM_SIGPIPE_H_

#include <signal.h>

namespace plait::sys {

// While it lives the thread takes no SIGPIPE; one that came meanwhile is taken away in the end.
class HoldSigpipe {
 public:
  HoldSigpipe() noexcept;
  HoldSigpipe(const HoldSigpipe&) = delete;
  HoldSigpipe& operator=(const HoldSigpipe&) = delete;
  ~HoldSigpipe();

 private:
  sigset_t before_;
  bool was_pending_;
};

// What `write()` gives, without a SIGPIPE.
template <class F>
auto WithoutSigpipe(F write) noexcept {
  const HoldSigpipe hold;
  return write();
}

}  // namespace plait::sys

#endif  // PLAIT_IO_SYSTEM_SIGPIPE_H_
