#include "plait/schedulers/process_pool/ring.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/schedulers/process_pool/link.h"

namespace plait::internal {
namespace {

constexpr size_t kCapacity = 4096;

std::shared_ptr<LinkMemory> NewMemory() {
  absl::StatusOr<std::shared_ptr<LinkMemory>> memory = LinkMemory::Create(kCapacity);
  EXPECT_TRUE(memory.ok()) << memory.status();
  return *std::move(memory);
}

bool Write(RingWriter& writer, absl::string_view bytes, uint32_t tag) {
  char* const to = writer.Reserve(bytes.size());
  if (to == nullptr) return false;
  std::memcpy(to, bytes.data(), bytes.size());
  writer.Commit(bytes.size(), tag);
  return true;
}

TEST(RingTest, RecordsOfEverySizeComeOutWholeAndInOrderWhereverTheyBegin) {
  const auto memory = NewMemory();
  RingWriter writer(memory->to_worker());
  RingReader reader(memory->to_worker());
  EXPECT_FALSE(reader.Peek().has_value());
  uint32_t tag = 0;
  for (size_t size = 0; size <= writer.max_record(); size += 1 + size / 16) {
    const std::string bytes(size, static_cast<char>('a' + size % 26));
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(Write(writer, bytes, ++tag));
      const std::optional<RingRecord> record = reader.Peek();
      ASSERT_TRUE(record.has_value());
      EXPECT_EQ(record->tag, tag);
      EXPECT_EQ(record->bytes, bytes);
      EXPECT_EQ(reader.Peek()->bytes.data(), record->bytes.data());
      reader.Pop();
      EXPECT_FALSE(reader.Peek().has_value());
    }
  }
}

TEST(RingTest, AFullRingTakesNoMoreUntilARecordIsPoppedAndLosesNothing) {
  const auto memory = NewMemory();
  RingWriter writer(memory->to_worker());
  RingReader reader(memory->to_worker());
  std::mt19937 engine(1);
  std::deque<std::string> written;
  uint32_t tag = 0;
  uint32_t popped = 0;
  int full = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(engine() % 600, static_cast<char>(engine()));
    if (Write(writer, bytes, tag)) {
      written.push_back(std::move(bytes));
      ++tag;
    } else {
      ++full;
      for (size_t left = 1 + engine() % written.size(); left > 0; --left) {
        const std::optional<RingRecord> record = reader.Peek();
        ASSERT_TRUE(record.has_value());
        ASSERT_EQ(record->tag, popped++);
        ASSERT_EQ(record->bytes, written.front());
        written.pop_front();
        reader.Pop();
      }
    }
  }
  EXPECT_GT(full, 100);
  EXPECT_FALSE(writer.corrupt() || reader.corrupt());
}

TEST(RingTest, ARecordMayBeSmallerThanWhatWasReserved) {
  const auto memory = NewMemory();
  RingWriter writer(memory->to_worker());
  RingReader reader(memory->to_worker());
  for (int i = 0; i < 100; ++i) {
    std::memcpy(writer.Reserve(writer.max_record() / 2), "abc", 3);
    writer.Commit(3, 7);
    EXPECT_EQ(reader.Peek()->bytes, "abc");
    reader.Pop();
  }
}

TEST(RingTest, PositionsThatCannotBeStopTheEndThatReadsThem) {
  const auto check_reader = [](uint64_t tail) {
    const auto memory = NewMemory();
    RingReader reader(memory->to_worker());
    memory->to_worker().positions->tail.store(tail);
    EXPECT_FALSE(reader.Peek().has_value());
    EXPECT_TRUE(reader.corrupt());
    memory->to_worker().positions->tail.store(16);
    EXPECT_FALSE(reader.Peek().has_value()) << "once corrupt, for ever corrupt";
  };
  check_reader(kCapacity + 8);
  check_reader(4);
  check_reader(uint64_t{0} - 8);
  const auto check_writer = [](uint64_t head) {
    const auto memory = NewMemory();
    RingWriter writer(memory->to_worker());
    ASSERT_TRUE(Write(writer, std::string(writer.max_record(), 'x'), 0));
    memory->to_worker().positions->head.store(head);
    EXPECT_EQ(writer.Reserve(8), nullptr);
    EXPECT_TRUE(writer.corrupt());
  };
  check_writer(kCapacity + 8);
  check_writer(12);
  check_writer(uint64_t{0} - 8);
}

TEST(RingTest, ARecordThatIsLargerThanWhatIsThereStopsTheReader) {
  const auto memory = NewMemory();
  RingWriter writer(memory->to_worker());
  RingReader reader(memory->to_worker());
  ASSERT_TRUE(Write(writer, "abcdefgh", 0));
  const uint64_t size = 9;
  std::memcpy(memory->to_worker().data, &size, sizeof size);
  EXPECT_FALSE(reader.Peek().has_value());
  EXPECT_TRUE(reader.corrupt());
}

// Reads every byte: those outside of the mapping are not there.
uint64_t Sum(absl::string_view bytes) {
  uint64_t sum = 0;
  for (const char c : bytes) sum += static_cast<unsigned char>(c);
  return sum;
}

TEST(RingTest, WhateverIsWrittenAnywhereInItsMemoryNobodyLeavesIt) {
  constexpr uint64_t kSeed = 7'654'321;
  SCOPED_TRACE(kSeed);
  std::mt19937_64 engine(kSeed);
  uint64_t sum = 0;
  int corrupted = 0;
  for (int round = 0; round < Repeats(2'000); ++round) {
    const auto memory = NewMemory();
    const RingMemory ring = memory->to_worker();
    RingWriter writer(ring);
    RingReader reader(ring);
    for (int step = 0; step < 60; ++step) {
      switch (engine() % 8) {
        case 0:  // the header's words, near or far from what they should be
          (engine() % 2 == 0 ? ring.positions->tail : ring.positions->head)
              .store(engine() % 4 == 0 ? engine() : (engine() % 1200) * 8);
          break;
        case 1:  // anywhere, a record's header perhaps
          ring.data[engine() % kCapacity] = static_cast<char>(engine());
          break;
        case 2: {
          const uint64_t header = engine() >> (engine() % 64);
          std::memcpy(ring.data + engine() % (kCapacity / 8) * 8, &header, sizeof header);
          break;
        }
        case 3:
        case 4:
        case 5:
          if (const size_t size = engine() % 700; char* const to = writer.Reserve(size)) {
            ASSERT_GE(to, ring.data);
            std::memset(to, 'x', size);
            writer.Commit(size, 1);
          }
          break;
        default:
          if (const std::optional<RingRecord> record = reader.Peek()) {
            ASSERT_GE(record->bytes.data(), ring.data);
            ASSERT_LE(record->bytes.data() + record->bytes.size(), ring.data + 2 * kCapacity);
            sum += Sum(record->bytes);
            reader.Pop();
          }
      }
    }
    corrupted += reader.corrupt() || writer.corrupt() ? 1 : 0;
  }
  EXPECT_GT(corrupted, Repeats(2'000) / 2);
  EXPECT_GT(sum, 0u);
}

TEST(RingStressTest, BetweenThreadsEveryRecordArrivesOnceAndInOrder) {
  const auto memory = NewMemory();
  const auto records = static_cast<uint32_t>(Repeats(50'000));
  Thread producer = StartThread("producer", [&memory, records] {
    RingWriter writer(memory->to_worker());
    for (uint32_t i = 0; i < records;) {
      const std::string bytes(i % 300, static_cast<char>(i));
      int round = 0;
      while (!Write(writer, bytes, i)) SpinWait(++round);
      ++i;
    }
  });
  RingReader reader(memory->to_worker());
  for (uint32_t i = 0; i < records; ++i) {
    std::optional<RingRecord> record;
    for (int round = 0; !record.has_value(); ++round) {
      record = reader.Peek();
      if (!record.has_value()) SpinWait(round);
    }
    ASSERT_EQ(record->tag, i);
    ASSERT_EQ(record->bytes, std::string(i % 300, static_cast<char>(i)));
    reader.Pop();
  }
  producer.join();
}

}  // namespace
}  // namespace plait::internal
