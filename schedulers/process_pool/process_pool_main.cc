// The main of the process pool's tests: it hands over to workers first.
#include "gtest/gtest.h"
#include "plait/schedulers/process_pool/pool_functions.h"
#include "plait/schedulers/process_pool/run_process_workers.h"

int main(int argc, char** argv) {
  plait::RunProcessWorkersIfAsked(plait::internal::PoolFunctions());
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
