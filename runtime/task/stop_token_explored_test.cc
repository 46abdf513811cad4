// The stop-callback handshake under the explorer.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait {
namespace {

using explorer::Explore;
using explorer::ExploreMutants;
using explorer::Mutants;
using explorer::Parallel;
using explorer::Report;
using explorer::Require;
using explorer::Scenario;
using ::testing::IsEmpty;

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
          {"a request is seen", ARequestIsSeen}};
}

// Trap: cancel racing completion.
TEST(StopTokenExploredTest, CallbacksAreCalledOnceAndNeverAfterTheirEnd) {
  for (const Scenario& scenario : Scenarios()) {
    const Report report = Explore(scenario.options, scenario.body);
    EXPECT_TRUE(report.ok()) << scenario.name << ": " << report.ToString();
    RecordProperty(scenario.name, report.ToString());
  }
}

TEST(StopTokenExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  const Mutants mutants = ExploreMutants("runtime/task/stop_token", Scenarios());
  EXPECT_THAT(mutants.survivors(), IsEmpty()) << mutants.ToString();
  EXPECT_FALSE(mutants.all.empty());
  RecordProperty("mutants", mutants.ToString());
}

}  // namespace
}  // namespace plait
