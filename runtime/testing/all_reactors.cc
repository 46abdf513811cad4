#include "plait/runtime/testing/all_reactors.h"

#include "plait/io/epoll/epoll_reactor.h"
#include "plait/io/io_uring/io_uring_reactor.h"

namespace plait {

std::vector<ReactorFactory> AllReactors() {
  return {
      {"Epoll", [](Executor* blocking) { return MakeEpollReactor({.blocking = blocking}); }},
      {"IoUring", [](Executor* blocking) { return MakeIoUringReactor({.blocking = blocking}); }},
  };
}

}  // namespace plait
