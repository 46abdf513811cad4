// RunProcessWorkersIfAsked: lets a program that has threads have worker processes.
//
//   plait::FunctionTable Functions();
//
//   int main(int argc, char** argv) {
//     plait::RunProcessWorkersIfAsked(Functions());      // the first line
//     ...                                                // threads, loops, whatever
//     auto pool = plait::ProcessPool::Create({.functions = Functions(), ...});
//
// Not needed where the pool is made while the program has one thread: its workers are forked then,
// which takes 0.2 ms, and has everything in memory that the program had. A program with threads
// cannot be forked (what they hold, they would hold for ever), so there the pool starts the
// program's file once more, and this line is where that process becomes the workers' parent: 1 ms
// and whatever runs before it (constructors of globals), and closures are those of this line's
// table. Without either, ProcessPool::Create fails and says so.
//
// Anything before this line happens twice, so it is the first.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_RUN_PROCESS_WORKERS_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_RUN_PROCESS_WORKERS_H_

#include "plait/schedulers/process_pool/function_table.h"

namespace plait {

// In a process that a pool has started for its workers: never returns. In the program itself, and
// where that was started by anybody else: returns at once. `table` is the one that pools are made
// with; where it has other functions their workers do not start. Before there are threads.
void RunProcessWorkersIfAsked(const FunctionTable& table);

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_RUN_PROCESS_WORKERS_H_
