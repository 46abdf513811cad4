#include "plait/io/epoll/epoll_reactor.h"

#include "gtest/gtest.h"
#include "plait/runtime/testing/reactor_suite.h"

namespace plait {
namespace {

INSTANTIATE_TEST_SUITE_P(
    Epoll, ReactorSuite,
    testing::Values(ReactorFactory{
        "Epoll", [](Executor* blocking) { return MakeEpollReactor({.blocking = blocking}); }}),
    ReactorFactory::Name);

}  // namespace
}  // namespace plait
