// The reactor for kqueue(2) of macOS and the BSDs: edge-triggered (EV_CLEAR), each descriptor
// registered once.
//
// Linux runs it in tests, over libkqueue, where tools/get_libkqueue has fetched that.
#ifndef PLAIT_IO_KQUEUE_KQUEUE_REACTOR_H_
#define PLAIT_IO_KQUEUE_KQUEUE_REACTOR_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/reactor.h"

namespace plait {

struct KqueueOptions {
  // Where reads and writes of regular files run, as those would block the loop; outlives the
  // reactor. Null: on blocking() of the executor that the reactor is given to.
  Executor* blocking = nullptr;
};

// An error when the system refuses (out of descriptors or memory), with the call that it refused.
absl::StatusOr<std::unique_ptr<Reactor>> MakeKqueueReactor(KqueueOptions options = {});
// Makes one whenever it is called, for executors that have several.
std::function<absl::StatusOr<std::unique_ptr<Reactor>>()> KqueueReactorFactory(
    KqueueOptions options = {});

}  // namespace plait

#endif  // PLAIT_IO_KQUEUE_KQUEUE_REACTOR_H_
