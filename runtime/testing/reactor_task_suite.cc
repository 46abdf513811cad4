#include "plait/runtime/testing/reactor_task_suite.h"

#include "plait/runtime/testing/task_programs.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {

std::vector<ReactorTaskExecutor> EventLoopsOver(const std::vector<ReactorFactory>& reactors) {
  std::vector<ReactorTaskExecutor> loops;
  for (const ReactorFactory& reactor : reactors) {
    loops.push_back(
        {.name = reactor.name,
         .make = [make = reactor.make](Executor* blocking) -> std::unique_ptr<Executor> {
           return std::make_unique<EventLoop>(make(blocking));
         }});
  }
  return loops;
}

ReactorTaskSuite::ReactorTaskSuite() : executor_(GetParam().make(&blocking_)) {
  testing_programs::quiet = &GetParam().quiet;
}

ReactorTaskSuite::~ReactorTaskSuite() { testing_programs::quiet = nullptr; }

}  // namespace plait
