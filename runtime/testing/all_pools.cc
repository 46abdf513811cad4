#include "plait/runtime/testing/all_pools.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/test_pool.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {

std::vector<PoolFactory> AllPools() {
  std::vector<PoolFactory> pools;
  for (const ReactorFactory& reactor : AllReactors()) {
    const auto make_reactor = [reactor] { return reactor.make(nullptr); };
    pools.push_back({absl::StrCat("Restless", reactor.name), [make_reactor](int threads) {
                       return std::make_unique<TestPool>(
                           make_reactor, TestPool::Options{.workers = threads, .restless = true});
                     }});
    pools.push_back({absl::StrCat("Stealing", reactor.name), [make_reactor](int threads) {
                       WorkStealingPoolOptions options;
                       options.threads = threads;
                       options.reactor = make_reactor;
                       return std::make_unique<WorkStealingPool>(std::move(options));
                     }});
  }
  return pools;
}

}  // namespace plait
