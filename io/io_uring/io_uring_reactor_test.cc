#include "plait/io/io_uring/io_uring_reactor.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/testing/reactor_suite.h"

namespace plait {
namespace {

ReactorFactory Variant(std::string name, IoUringOptions options) {
  return {std::move(name), [options](Executor* blocking) {
            IoUringOptions with = options;
            with.blocking = blocking;
            return MakeIoUringReactor(with);
          }};
}

// As the kernel is; as older kernels are; with queues that are always full; sending without copies.
std::vector<ReactorFactory> Variants() {
  return {
      Variant("IoUring", {}),
      Variant("IoUringOfAnOldKernel", {.without = {.deferred_task_work = true,
                                                   .single_issuer = true,
                                                   .registered_ring = true,
                                                   .multishot = true,
                                                   .file_operations = true,
                                                   .zero_copy_send = true}}),
      Variant("IoUringWithTinyQueues", {.entries = 1}),
      Variant("IoUringWithoutCopies", {.zero_copy_bytes = 1}),
  };
}

INSTANTIATE_TEST_SUITE_P(IoUring, ReactorSuite, testing::ValuesIn(Variants()),
                         ReactorFactory::Name);

}  // namespace
}  // namespace plait
