#include "plait/runtime/testing/all_reactors.h"

#ifdef __linux__
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#endif
#ifdef PLAIT_HAVE_KQUEUE
#include "plait/io/kqueue/kqueue_reactor.h"
#endif

namespace plait {

std::vector<ReactorFactory> AllReactors() {
  return {
#ifdef __linux__
      {"Epoll", [](Executor* blocking) { return MakeEpollReactor({.blocking = blocking}); }},
      {"IoUring", [](Executor* blocking) { return MakeIoUringReactor({.blocking = blocking}); }},
#endif
#ifdef PLAIT_HAVE_KQUEUE
      {"Kqueue", [](Executor* blocking) { return MakeKqueueReactor({.blocking = blocking}); }},
#endif
  };
}

}  // namespace plait
