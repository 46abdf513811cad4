#include "plait/schedulers/process_pool/payload.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/pool_system.h"

namespace plait::internal {
namespace {

constexpr size_t kArea = size_t{1} << 20;

std::shared_ptr<PayloadMemory> NewMemory(size_t area = kArea) {
  absl::StatusOr<std::shared_ptr<PayloadMemory>> memory = PayloadMemory::Create(area);
  EXPECT_TRUE(memory.ok()) << memory.status();
  return *std::move(memory);
}

// How much of it is memory, and not only addresses.
int64_t MemoryBytes(const PayloadMemory& memory) {
  struct stat status;
  EXPECT_EQ(::fstat(memory.memory_descriptor(), &status), 0);
  return int64_t{512} * status.st_blocks;
}

template <class T>
PayloadRef Put(PayloadWriter& writer, const T& value) {
  Encoder counting({});
  Codec<T>::Encode(value, counting);
  absl::StatusOr<PayloadRef> ref = writer.Allocate(counting.needed());
  EXPECT_TRUE(ref.ok()) << ref.status();
  Encoder out(writer.Bytes(*ref));
  Codec<T>::Encode(value, out);
  EXPECT_TRUE(out.fits());
  return *ref;
}

TEST(PayloadTest, AValueIsEncodedInOneProcessAndDecodedInAnother) {
  const std::shared_ptr<PayloadMemory> memory = NewMemory(size_t{8} << 20);
  const std::string value(size_t{5} << 20, 'x');
  PayloadWriter writer(memory, memory->to_worker());
  const PayloadRef ref = Put(writer, value);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // As a process that was not forked has it: by its descriptor.
    absl::StatusOr<std::shared_ptr<PayloadMemory>> opened =
        PayloadMemory::Open(::dup(memory->memory_descriptor()));
    if (!opened.ok()) ::_exit(1);
    PayloadReader reader(*opened, (*opened)->to_worker());
    absl::StatusOr<std::string> got = Decode<std::string>(*reader.View(ref));
    if (!got.ok()) ::_exit(2);
    PayloadWriter back(*opened, (*opened)->to_parent());
    *got += "y";
    const PayloadRef answer = Put(back, *got);
    ::_exit(answer.offset == 0 ? 0 : 3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(writer.Release(ref).ok());
  PayloadReader reader(memory, memory->to_parent());
  // A length of four bytes comes first.
  const absl::StatusOr<absl::string_view> answer = reader.View({0, value.size() + 5});
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(*Decode<std::string>(*answer), value + "y");
}

TEST(PayloadTest, TheTwoDirectionsAreApart) {
  const std::shared_ptr<PayloadMemory> memory = NewMemory();
  PayloadWriter there(memory, memory->to_worker());
  PayloadWriter back(memory, memory->to_parent());
  const absl::Span<char> a = there.Bytes(*there.Allocate(kArea));
  const absl::Span<char> b = back.Bytes(*back.Allocate(kArea));
  std::memset(a.data(), 'a', a.size());
  std::memset(b.data(), 'b', b.size());
  EXPECT_EQ(a.front(), 'a');
  EXPECT_EQ(a.back(), 'a');
  EXPECT_EQ(memory->board().begun(), 0u);
}

TEST(PayloadTest, WhatIsTooLargeForEverAndWhatHasNoRoomNowAreToldApart) {
  const std::shared_ptr<PayloadMemory> memory = NewMemory();
  PayloadWriter writer(memory, memory->to_worker());
  EXPECT_EQ(writer.Allocate(kArea + 1).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(writer.Allocate(std::numeric_limits<size_t>::max()).status().code(),
            absl::StatusCode::kOutOfRange);
  const PayloadRef half = *writer.Allocate(kArea / 2);
  EXPECT_EQ(writer.Allocate(kArea).status().code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(writer.Release(half).ok());
  EXPECT_TRUE(writer.Allocate(kArea).ok());
}

TEST(PayloadTest, ASizeThatWrapsAroundIsRefused) {
  constexpr size_t kMost = std::numeric_limits<size_t>::max();
  // Rounded up to pages and doubled these are 0, 0 and two pages.
  for (const size_t area : {kMost, kMost / 2 + 1, kMost / 2 + 1 + pool_system::PageSize() / 2}) {
    const absl::Status status = PayloadMemory::Create(area).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << area << ": " << status;
    EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat(area))) << status;
  }
}

TEST(PayloadTest, APayloadThatTheSystemHasNoMemoryForTakesNone) {
  const std::shared_ptr<PayloadMemory> memory = NewMemory();
  // An area whose second half lies behind the end of the file: the system can give the first and no
  // more.
  char* addresses = nullptr;
  ASSERT_EQ(pool_system::ReserveAddresses(2 * kArea, &addresses), 0);
  ASSERT_EQ(pool_system::MapMemory(addresses, memory->memory_descriptor(),
                                   pool_system::PageSize() + kArea, 2 * kArea),
            0);
  PayloadWriter writer(memory, {addresses, 2 * kArea});
  EXPECT_EQ(writer.Allocate(2 * kArea).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(MemoryBytes(*memory), 0);
  EXPECT_EQ(writer.in_use(), 0u);
  const absl::StatusOr<PayloadRef> less = writer.Allocate(kArea);
  ASSERT_TRUE(less.ok()) << less.status();
  std::memset(writer.Bytes(*less).data(), 'x', less->size);
  EXPECT_GE(MemoryBytes(*memory), int64_t{kArea});
  pool_system::ReleaseAddresses(addresses, 2 * kArea);
}

TEST(PayloadTest, MemoryThatWasGivenBackIsUsedAgainBeforeAnyOther) {
  const std::shared_ptr<PayloadMemory> memory = NewMemory();
  PayloadWriter writer(memory, memory->to_worker());
  const PayloadRef first = *writer.Allocate(100'000);
  const PayloadRef second = *writer.Allocate(1);
  ASSERT_TRUE(writer.Release(first).ok());
  EXPECT_EQ(writer.Allocate(50'000)->offset, first.offset);
  EXPECT_LT(writer.Allocate(10'000)->offset, second.offset);
  EXPECT_GT(writer.Allocate(100'000)->offset, second.offset);
}

TEST(PayloadTest, BlocksInUseNeverOverlapAndAllCanBeHadBack) {
  const std::shared_ptr<PayloadMemory> memory = NewMemory();
  PayloadWriter writer(memory, memory->to_worker());
  std::mt19937_64 generator(7);
  std::vector<std::pair<PayloadRef, char>> live;
  for (int i = 0; i < 5'000; ++i) {
    if (live.size() < 20 && generator() % 3 != 0) {
      const absl::StatusOr<PayloadRef> ref = writer.Allocate(1 + generator() % 60'000);
      if (ref.ok()) {
        const char fill = static_cast<char>(i);
        std::memset(writer.Bytes(*ref).data(), fill, ref->size);
        live.emplace_back(*ref, fill);
      }
    } else if (!live.empty()) {
      std::swap(live[generator() % live.size()], live.back());
      const auto [ref, fill] = live.back();
      live.pop_back();
      const absl::Span<char> bytes = writer.Bytes(ref);
      ASSERT_EQ(bytes.front(), fill);
      ASSERT_EQ(bytes.back(), fill);
      ASSERT_TRUE(writer.Release(ref).ok());
    }
    if (i % 1'000 == 0) writer.Trim();
  }
  for (const auto& [ref, fill] : live) {
    EXPECT_EQ(writer.Bytes(ref).back(), fill);
    EXPECT_TRUE(writer.Release(ref).ok());
  }
  EXPECT_EQ(writer.in_use(), 0u);
  EXPECT_TRUE(writer.Allocate(kArea).ok());
}

TEST(PayloadTest, AReferenceThatLeavesTheMemoryIsDataLoss) {
  const std::shared_ptr<PayloadMemory> memory = NewMemory();
  const PayloadReader reader(memory, memory->to_parent());
  EXPECT_TRUE(reader.View({0, kArea}).ok());
  EXPECT_TRUE(reader.View({kArea, 0}).ok());
  constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
  for (const PayloadRef& bad :
       {PayloadRef{0, kArea + 1}, PayloadRef{kArea, 1}, PayloadRef{1, kArea}, PayloadRef{kHuge, 1},
        PayloadRef{1, kHuge}, PayloadRef{kHuge, kHuge}, PayloadRef{kHuge - 7, 16}}) {
    EXPECT_EQ(reader.View(bad).status().code(), absl::StatusCode::kDataLoss)
        << bad.offset << " " << bad.size;
  }
}

TEST(PayloadTest, MemoryThatIsNotInUseCannotBeGivenBack) {
  const std::shared_ptr<PayloadMemory> memory = NewMemory();
  PayloadWriter writer(memory, memory->to_worker());
  const PayloadRef ref = *writer.Allocate(5'000);
  for (const PayloadRef& bad : {PayloadRef{1, 5'000}, PayloadRef{ref.offset, kArea},
                                PayloadRef{ref.offset + 4'096, 1}, PayloadRef{kArea, 1}}) {
    EXPECT_EQ(writer.Release(bad).code(), absl::StatusCode::kDataLoss) << bad.offset;
  }
  EXPECT_TRUE(writer.Release(ref).ok());
  EXPECT_EQ(writer.Release(ref).code(), absl::StatusCode::kDataLoss) << "twice";
}

TEST(PayloadTest, ADescriptorThatIsSomethingElseIsRefused) {
  int pipes[2];
  ASSERT_EQ(::pipe(pipes), 0);
  EXPECT_FALSE(PayloadMemory::Open(pipes[0]).ok());
  ::close(pipes[1]);
  const int odd = pool_system::CreateMemory("odd", pool_system::PageSize());
  ASSERT_GE(odd, 0);
  EXPECT_EQ(PayloadMemory::Open(odd).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(PayloadTest, TrimGivesBackWhatIsNotInUseAndNothingElse) {
  const std::shared_ptr<PayloadMemory> memory = NewMemory();
  PayloadWriter writer(memory, memory->to_worker());
  const PayloadRef first = *writer.Allocate(kArea / 4);
  const PayloadRef second = *writer.Allocate(kArea / 4);
  const PayloadRef third = *writer.Allocate(kArea / 4);
  for (const PayloadRef& ref : {first, second, third}) {
    std::memset(writer.Bytes(ref).data(), 'x', ref.size);
  }
  ASSERT_TRUE(writer.Release(first).ok());
  ASSERT_TRUE(writer.Release(third).ok());
  EXPECT_GE(MemoryBytes(*memory), int64_t{3 * kArea / 4});
  EXPECT_TRUE(writer.trimmable());
  writer.Trim();
  EXPECT_LT(MemoryBytes(*memory), int64_t{kArea / 2});
  EXPECT_EQ(writer.Bytes(second).front(), 'x');
  EXPECT_EQ(writer.Bytes(second).back(), 'x');
  ASSERT_TRUE(writer.Release(second).ok());
  writer.Trim();
  EXPECT_EQ(MemoryBytes(*memory), 0);
  EXPECT_FALSE(writer.trimmable());
}

TEST(PayloadTest, NothingOfItStays) {
  const int before = OpenDescriptors();
  {
    const std::shared_ptr<PayloadMemory> memory = NewMemory();
    PayloadWriter writer(memory, memory->to_worker());
    Put(writer, std::string(300'000, 'x'));
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace plait::internal
