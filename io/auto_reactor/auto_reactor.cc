#include "plait/io/auto_reactor/auto_reactor.h"

#include <cstdio>
#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "plait/runtime/core/atomic.h"
#ifdef __linux__
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#endif
#ifdef PLAIT_HAVE_KQUEUE
#include "plait/io/kqueue/kqueue_reactor.h"
#endif

// What the build flag //:reactor says.
#ifndef PLAIT_DEFAULT_REACTOR
#define PLAIT_DEFAULT_REACTOR "auto"
#endif

namespace plait {
namespace {

using MadeReactor = absl::StatusOr<std::unique_ptr<Reactor>>;

struct Kind {
  const char* name;
  MadeReactor (*make)(Executor* blocking);
};

#ifdef __linux__
constexpr Kind kEpoll = {
    "epoll", [](Executor* blocking) { return MakeEpollReactor({.blocking = blocking}); }};
constexpr Kind kIoUring = {
    "io_uring", [](Executor* blocking) { return MakeIoUringReactor({.blocking = blocking}); }};
#endif
#ifdef PLAIT_HAVE_KQUEUE
constexpr Kind kKqueue = {
    "kqueue", [](Executor* blocking) { return MakeKqueueReactor({.blocking = blocking}); }};
#endif

// The best first.
constexpr Kind kKinds[] = {
#ifdef __linux__
    kIoUring,
    kEpoll,
#endif
#ifdef PLAIT_HAVE_KQUEUE
    kKqueue,
#endif
};

#ifdef __linux__
void TellFallback(const ReactorOptions& options, const absl::Status& refusal) {
  const std::string sentence = absl::StrCat(
      "epoll takes the place of io_uring, which this system refuses: ", refusal.message(),
      " (PLAIT_REACTOR=epoll chooses it at once)");
  if (options.on_fallback != nullptr) return options.on_fallback(sentence);
  static constinit internal::Atomic<bool> told{false};
  if (!told.exchange(true, internal::kRelaxed))
    std::fprintf(stderr, "plait: %s\n", sentence.c_str());
}

// io_uring, or epoll where the system refuses that.
MadeReactor MakeBest(const ReactorOptions& options) {
  MadeReactor best = kIoUring.make(options.blocking);
  if (best.ok()) return best;
  MadeReactor next = kEpoll.make(options.blocking);
  if (next.ok()) TellFallback(options, best.status());
  return next;
}

bool MayFallBack(absl::string_view name) { return name == "auto" || name == kIoUring.name; }
#else
MadeReactor MakeBest(const ReactorOptions& options) { return kKinds[0].make(options.blocking); }

bool MayFallBack(absl::string_view name) { return name == "auto"; }
#endif

absl::Status NoSuchReactor(absl::string_view name, absl::string_view origin) {
  const absl::string_view why =
      absl::StripSuffix(name, "!") == "kqueue"
          ? "; Linux has kqueue only for tests, where tools/get_libkqueue has fetched it"
          : "";
  return absl::InvalidArgumentError(absl::StrCat("unknown reactor \"", name, "\"", origin, why,
                                                 "; this build has: auto, ",
                                                 absl::StrJoin(ReactorNames(), ", ")));
}

}  // namespace

std::vector<std::string> ReactorNames() {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) names.emplace_back(kind.name);
  return names;
}

absl::StatusOr<std::unique_ptr<Reactor>> MakeReactor(absl::string_view name,
                                                     ReactorOptions options) {
  absl::string_view origin = "";
  if (name.empty()) {
    const char* chosen = std::getenv("PLAIT_REACTOR");
    if (chosen != nullptr && *chosen != '\0') {
      name = chosen;
      origin = " (from the environment variable PLAIT_REACTOR)";
    } else {
      name = PLAIT_DEFAULT_REACTOR;
    }
  }
  if (MayFallBack(name)) return MakeBest(options);
  for (const Kind& kind : kKinds) {
    if (absl::StripSuffix(name, "!") == kind.name) return kind.make(options.blocking);
  }
  return NoSuchReactor(name, origin);
}

}  // namespace plait
