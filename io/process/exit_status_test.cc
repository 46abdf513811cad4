#include "plait/io/process/exit_status.h"

#include <signal.h>

#include "gtest/gtest.h"

namespace plait {
namespace {

TEST(ExitStatusTest, OnlyCodeZeroIsOk) {
  EXPECT_TRUE(ExitStatus().ok());
  EXPECT_EQ(ExitStatus(), ExitStatus::Exited(0));
  EXPECT_FALSE(ExitStatus::Exited(1).ok());
  EXPECT_FALSE(ExitStatus::Signalled(SIGTERM).ok());
}

TEST(ExitStatusTest, TellsTheCodeOrTheSignal) {
  const ExitStatus exited = ExitStatus::Exited(3);
  EXPECT_TRUE(exited.exited());
  EXPECT_EQ(exited.code(), 3);
  EXPECT_EQ(exited.signal(), 0);
  const ExitStatus killed = ExitStatus::Signalled(SIGKILL);
  EXPECT_FALSE(killed.exited());
  EXPECT_EQ(killed.code(), -1);
  EXPECT_EQ(killed.signal(), SIGKILL);
  EXPECT_FALSE(killed.core_dumped());
  EXPECT_NE(killed, ExitStatus::Signalled(SIGKILL, /*core_dumped=*/true));
}

TEST(ExitStatusTest, PeopleCanReadIt) {
  EXPECT_EQ(ExitStatus::Exited(3).ToString(), "exit status 3");
  EXPECT_EQ(ExitStatus::Signalled(SIGKILL).ToString(), "killed by SIGKILL");
  EXPECT_EQ(ExitStatus::Signalled(SIGSEGV, true).ToString(), "killed by SIGSEGV (core dumped)");
  EXPECT_EQ(ExitStatus::Signalled(50).ToString(), "killed by signal 50");
}

}  // namespace
}  // namespace plait
