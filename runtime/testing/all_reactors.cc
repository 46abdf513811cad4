#include "plait/runtime/testing/all_reactors.h"

#include "plait/io/epoll/epoll_reactor.h"

namespace plait {

std::vector<ReactorFactory> AllReactors() {
  return {
      {"Epoll", [](Executor* blocking) { return MakeEpollReactor({.blocking = blocking}); }},
  };
}

}  // namespace plait
