// Makes a reactor by name, or the best that this system allows.
#ifndef PLAIT_IO_AUTO_REACTOR_AUTO_REACTOR_H_
#define PLAIT_IO_AUTO_REACTOR_AUTO_REACTOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/reactor.h"

namespace plait {

struct ReactorOptions {
  // Where reads and writes of regular files run on reactors that have no better way; outlives the
  // reactor. Null: on blocking() of the executor that the reactor is given to.
  Executor* blocking = nullptr;
  // Told, in one sentence, when the system refuses io_uring and another reactor takes its place.
  // Null: a line on standard error, the first time in a process.
  std::function<void(absl::string_view)> on_fallback = nullptr;
};

// `name` is one of ReactorNames(), "auto" for the best that the system allows, or empty for the
// default: the environment variable PLAIT_REACTOR if it is set and not empty, else what the build
// flag //:reactor says.
//
// Sandboxes often forbid io_uring. Where the system refuses it, after a real operation was tried,
// "io_uring" and "auto" give epoll and say why; "io_uring!" is io_uring or an error. Any name may
// have the exclamation mark.
//
// InvalidArgument names what there is when the name is unknown; another error says why this system
// refuses.
//
// macOS and the BSDs have kqueue and nothing else. Linux has it only where tools/get_libkqueue has
// fetched an emulation, to be tested with, which "auto" never chooses.
absl::StatusOr<std::unique_ptr<Reactor>> MakeReactor(absl::string_view name = "",
                                                     ReactorOptions options = {});

// The reactors in this build, the best first.
std::vector<std::string> ReactorNames();

}  // namespace plait

#endif  // PLAIT_IO_AUTO_REACTOR_AUTO_REACTOR_H_
