// The reactor for Linux's epoll(7): edge-triggered, each descriptor registered once.
#ifndef PLAIT_IO_EPOLL_EPOLL_REACTOR_H_
#define PLAIT_IO_EPOLL_EPOLL_REACTOR_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/reactor.h"

namespace plait {

struct EpollOptions {
  // Where reads and writes of regular files run, as those would block the loop; outlives the
  // reactor. Null: on blocking() of the executor that the reactor is given to.
  Executor* blocking = nullptr;
};

// An error when the system refuses (out of descriptors or memory), with the call that it refused.
absl::StatusOr<std::unique_ptr<Reactor>> MakeEpollReactor(EpollOptions options = {});
// Makes one whenever it is called, for executors that have several.
std::function<absl::StatusOr<std::unique_ptr<Reactor>>()> EpollReactorFactory(
    EpollOptions options = {});

}  // namespace plait

#endif  // PLAIT_IO_EPOLL_EPOLL_REACTOR_H_
