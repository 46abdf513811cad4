// The stop-callback handshake under the explorer.
#include <optional>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

// What the callback uses dies right after the callback's own end.
void ACallbackDiesWhileItIsCalled() {
  StopSource source;
  int calls = 0;
  Parallel({[&] {
              int local = 0;
              {
                const StopCallback on_stop(source.token(), [&] { ++local; });
              }
              Require(local <= 1, "it is called once at most");
              calls = local;
            },
            [&] { source.RequestStop(); }});
  Require(calls == 0 || source.stop_requested(), "it is not called without a request");
}

void TwoRequests() {
  StopSource source;
  int calls = 0;
  bool first = false, second = false;
  {
    const StopCallback on_stop(source.token(), [&] { ++calls; });
    Parallel({[&] { first = source.RequestStop(); }, [&] { second = source.RequestStop(); }});
  }
  Require(first != second, "one of them makes the request");
  Require(calls == 1, "the callback is called once");
}

// Two leave the list, while the request may be at it.
void TwoCallbacksAndARequest() {
  StopSource source;
  int one = 0, two = 0;
  const auto call_one = [&one] { ++one; };
  const auto call_two = [&two] { ++two; };
  std::optional<StopCallback<decltype(call_one)>> first(std::in_place, source.token(), call_one);
  std::optional<StopCallback<decltype(call_two)>> second(std::in_place, source.token(), call_two);
  Parallel({[&] {
              first.reset();
              second.reset();
            },
            [&] { source.RequestStop(); }});
  Require(one <= 1 && two <= 1, "each is called once at most");
}

// The same from two threads: each waits for its own callback, and for no other.
void TwoThreadsWithACallbackEachAndARequest() {
  StopSource source;
  const auto wait = [&source] {
    int calls = 0;
    {
      const StopCallback on_stop(source.token(), [&] { ++calls; });
    }
    Require(calls <= 1, "it is called once at most");
  };
  Parallel({wait, wait, [&] { source.RequestStop(); }});
}

// What a thread waits for alone.
struct LoneNode : internal::StopNode {
  LoneNode() : StopNode(+[](WorkItem& item) noexcept { ++static_cast<LoneNode&>(item).calls; }) {}
  int calls = 0;
};

void WaitAlone(internal::StopState& state, int times) {
  for (int i = 0; i < times; ++i) {
    LoneNode node;
    if (!state.RegisterOnOnlyThread(node)) continue;
    // Who asks and is told no knows that it was called, or is about to be.
    if (state.TryUnregister(node)) {
      Require(node.calls == 0, "what was taken out is not called");
    } else {
      state.Unregister(node);  // waits for it
      Require(node.calls == 1, "what was not taken out is called");
    }
  }
}

// As a wait of a task whose executor has one thread: the first makes the lock its thread's, the
// request takes it away.
void AThreadThatWaitsAloneAndARequest() {
  internal::StopState state;
  Parallel({[&] { WaitAlone(state, 2); }, [&] { state.RequestStop(); }});
}

void AThreadThatWaitsAloneAndTwoRequests() {
  internal::StopState state;
  bool first = false, second = false;
  Parallel({[&] { WaitAlone(state, 2); }, [&] { first = state.RequestStop(); },
            [&] { second = state.RequestStop(); }});
  Require(first != second, "one of them makes the request");
}

// What came before the request is visible to whoever sees it.
void ARequestIsSeen() {
  StopSource source;
  int reason = 0;
  Parallel({[&] {
              reason = 1;
              source.RequestStop();
            },
            [&] {
              if (source.stop_requested()) Require(reason == 1, "the reason is visible");
            }});
}

std::vector<Scenario> Scenarios() {
  return {{"a callback dies while it is called", ACallbackDiesWhileItIsCalled},
          {"two requests", TwoRequests},
          {"two callbacks and a request", TwoCallbacksAndARequest},
          {"two have a callback each", TwoThreadsWithACallbackEachAndARequest, {.preemptions = 2}},
          {"one waits alone and is stopped", AThreadThatWaitsAloneAndARequest},
          {"one waits alone and is stopped by two",
           AThreadThatWaitsAloneAndTwoRequests,
           {.preemptions = 1}},
          {"a request is seen", ARequestIsSeen}};
}

// Trap: cancel racing completion.
TEST(StopTokenExploredTest, CallbacksAreCalledOnceAndNeverAfterTheirEnd) {
  ExpectAllExecutionsPass(Scenarios());
}

}  // namespace
}  // namespace plait
