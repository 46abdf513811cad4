// CallBoard under the explorer: every execution of a worker that begins a call while its parent
// withdraws it, and every memory order weakened.
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"
#include "plait/schedulers/process_pool/call_board.h"

namespace plait::internal {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

// A call that is withdrawn for certain never runs.
void WithdrawnWhileItBegins() {
  const auto board = std::make_unique<CallBoard>();
  bool ran = false;
  bool never_begins = false;
  Parallel({[&] { ran = board->Begin(1); }, [&] { never_begins = board->Withdraw(1); }});
  Require(!(ran && never_begins), "what was withdrawn does not run");
}

// What the parent has read of a large result before the worker writes there again.
void ResultTaken() {
  const auto board = std::make_unique<CallBoard>();
  int memory = 1;
  int read = 0;
  Parallel({[&] {
              if (board->results_taken() == 1) memory = 2;
            },
            [&] {
              read = memory;
              board->TakeResult();
            }});
  Require(read == 1, "the result was read before it was written over");
}

const std::vector<Scenario>& Scenarios() {
  static const auto* const scenarios = new std::vector<Scenario>{
      {"withdrawn while it begins", WithdrawnWhileItBegins}, {"result taken", ResultTaken}};
  return *scenarios;
}

TEST(CallBoardExploredTest, WhatWasWithdrawnNeverRuns) { ExpectAllExecutionsPass(Scenarios()); }

TEST(CallBoardExploredTest, WeakeningAMemoryOrderIsNoticed) {
  ExpectMutantsKilled("process_pool/call_board", Scenarios(), 6);
}

}  // namespace
}  // namespace plait::internal
