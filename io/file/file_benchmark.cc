// What does a read of a file cost a task, one after the other and 32 at once, by io_uring and by a
// pool of threads, beside pread in one thread: when the system has the file in memory, and when it
// has to fetch it from the disk?
//
// In memory, pread is the floor: the copy and a system call. What a reactor adds is its own. From
// the disk, several at once are what a disk needs.
//
//   bazel run -c opt //io/file:file_benchmark
//
// What it showed (Linux 6.18, a virtual machine with two cores and a virtual disk; µs a read,
// medians of three):
//
//                         in memory,           from the disk,       from the disk,
//                         anywhere             in order             anywhere
//   KiB a read              4      64            4      64            4      64
//   pread                1.56    3.23         2.47   43.02        69.29  117.44
//   io_uring             2.29    4.15         2.97   37.92        66.19  107.52
//     32 at once         0.45    2.38         0.87   27.96         9.06   33.26
//   epoll and threads   26.95   28.23        27.03   47.64        98.55  153.53
//     32 at once        15.58   16.89        16.80   46.44        37.28   57.38
//
// One at a time, the ring adds 0.7 µs to a pread, and the pool of threads two wake-ups. 32 at once
// share one io_uring_enter: less than a pread's system call for each, and at places all over the
// file, a seventh of its time, as the disk works on all of them.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/io/file/open_file.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/blocking/blocking_pool.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

constexpr int64_t kFileBytes = 32 << 20;
constexpr int64_t kBatchBytes = 4 << 20;  // that an iteration reads

using ReactorMaker = absl::StatusOr<std::unique_ptr<Reactor>> (*)(Executor& blocking);

absl::StatusOr<std::unique_ptr<Reactor>> MakeEpoll(Executor& blocking) {
  return MakeEpollReactor({.blocking = &blocking});
}
absl::StatusOr<std::unique_ptr<Reactor>> MakeIoUring(Executor& blocking) {
  return MakeIoUringReactor({.blocking = &blocking});
}

// A file full of data, on the disk, that goes with the program.
class DataFile {
 public:
  DataFile() {
    const char* const folder = ::getenv("TEST_TMPDIR");
    path_ = absl::StrCat(folder == nullptr ? "/tmp" : folder, "/file_benchmark.XXXXXX");
    const int fd = ::mkostemp(path_.data(), O_CLOEXEC);
    PLAIT_CHECK(fd >= 0, "mkostemp failed");
    const std::string piece(1 << 20, 'x');
    for (int64_t done = 0; done < kFileBytes; done += static_cast<int64_t>(piece.size())) {
      PLAIT_CHECK(::write(fd, piece.data(), piece.size()) == static_cast<ssize_t>(piece.size()),
                  "write failed");
    }
    PLAIT_CHECK(::fsync(fd) == 0, "fsync failed");
    ::close(fd);
  }
  ~DataFile() { ::unlink(path_.c_str()); }

  static const std::string& Path() {
    static const DataFile file;
    return file.path_;
  }

 private:
  std::string path_;
};

// What a benchmark is of: BENCHMARK(...)->ArgNames gives these names.
struct Shape {
  explicit Shape(const benchmark::State& state)
      : bytes(state.range(0)), at_once(state.range(1)), scattered(state.range(2) != 0) {}

  // Where an iteration reads, in this order.
  std::vector<int64_t> Offsets() const {
    std::minstd_rand numbers(1);
    std::vector<int64_t> offsets;
    for (int64_t i = 0; i < kBatchBytes / bytes; ++i) {
      const int64_t piece = scattered ? static_cast<int64_t>(numbers()) % (kFileBytes / bytes) : i;
      offsets.push_back(piece * bytes);
    }
    return offsets;
  }

  int64_t bytes;
  int64_t at_once;
  bool scattered;
};

void CountReads(benchmark::State& state, const Shape& shape) {
  const int64_t reads = state.iterations() * (kBatchBytes / shape.bytes);
  state.SetItemsProcessed(reads);
  state.SetBytesProcessed(reads * shape.bytes);
}

// Several of these read the pieces of one list, each into its own buffer.
Task<absl::Status> ReadPieces(const File& file, const std::vector<int64_t>& offsets, size_t& next,
                              absl::Span<char> buffer) {
  while (next < offsets.size()) {
    const int64_t offset = offsets[next++];
    const size_t count = co_await OrReturn(file.ReadAt(buffer, offset));
    if (count != buffer.size()) co_return absl::DataLossError("a short read");
  }
  co_return absl::OkStatus();
}

Task<absl::Status> ReadBatch(const File& file, const std::vector<int64_t>& offsets,
                             std::vector<std::vector<char>>& buffers) {
  size_t next = 0;
  std::vector<Task<absl::Status>> readers;
  for (std::vector<char>& buffer : buffers) {
    readers.push_back(ReadPieces(file, offsets, next, absl::MakeSpan(buffer)));
  }
  co_return co_await Gather(std::move(readers));
}

void ReadByTasks(benchmark::State& state, ReactorMaker make, bool cold) {
  const Shape shape(state);
  BlockingPool blocking;
  absl::StatusOr<std::unique_ptr<Reactor>> reactor = make(blocking);
  if (!reactor.ok()) {
    state.SkipWithError(reactor.status().ToString().c_str());
    return;
  }
  EventLoop loop(*std::move(reactor), {.blocking = &blocking});
  absl::StatusOr<File> file = BlockOn(loop, OpenFile(DataFile::Path()));
  PLAIT_CHECK(file.ok(), file.status().ToString());
  const std::vector<int64_t> offsets = shape.Offsets();
  std::vector<std::vector<char>> buffers(static_cast<size_t>(shape.at_once),
                                         std::vector<char>(static_cast<size_t>(shape.bytes)));
  for (auto _ : state) {
    if (cold) {
      state.PauseTiming();
      const absl::Status dropped = BlockOn(loop, file->DropCache());
      PLAIT_CHECK(dropped.ok(), dropped.ToString());
      state.ResumeTiming();
    }
    const absl::Status read = BlockOn(loop, ReadBatch(*file, offsets, buffers));
    PLAIT_CHECK(read.ok(), read.ToString());
  }
  const absl::Status closed = BlockOn(loop, file->Close());
  PLAIT_CHECK(closed.ok(), closed.ToString());
  CountReads(state, shape);
}

void ReadByPread(benchmark::State& state, bool cold) {
  const Shape shape(state);
  const int fd = ::open(DataFile::Path().c_str(), O_RDONLY | O_CLOEXEC);
  PLAIT_CHECK(fd >= 0, "open failed");
  const std::vector<int64_t> offsets = shape.Offsets();
  std::vector<char> buffer(static_cast<size_t>(shape.bytes));
  for (auto _ : state) {
    if (cold) {
      state.PauseTiming();
      ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
      state.ResumeTiming();
    }
    for (const int64_t offset : offsets) {
      PLAIT_CHECK(::pread(fd, buffer.data(), buffer.size(), offset) == shape.bytes, "pread failed");
    }
  }
  ::close(fd);
  CountReads(state, shape);
}

void AllShapes(benchmark::internal::Benchmark* benchmark, std::vector<int64_t> at_once) {
  benchmark->ArgNames({"bytes", "at_once", "scattered"})->UseRealTime();
  for (const int64_t scattered : {0, 1}) {
    for (const int64_t bytes : {4096, 65536}) {
      for (const int64_t n : at_once) benchmark->Args({bytes, n, scattered});
    }
  }
}
void OneAtATime(benchmark::internal::Benchmark* benchmark) { AllShapes(benchmark, {1}); }
void OneAndMany(benchmark::internal::Benchmark* benchmark) { AllShapes(benchmark, {1, 32}); }

void BM_InMemoryPread(benchmark::State& state) { ReadByPread(state, /*cold=*/false); }
BENCHMARK(BM_InMemoryPread)->Apply(OneAtATime);

void BM_InMemoryEpoll(benchmark::State& state) { ReadByTasks(state, &MakeEpoll, /*cold=*/false); }
BENCHMARK(BM_InMemoryEpoll)->Apply(OneAndMany);

void BM_InMemoryIoUring(benchmark::State& state) {
  ReadByTasks(state, &MakeIoUring, /*cold=*/false);
}
BENCHMARK(BM_InMemoryIoUring)->Apply(OneAndMany);

void BM_FromDiskPread(benchmark::State& state) { ReadByPread(state, /*cold=*/true); }
BENCHMARK(BM_FromDiskPread)->Apply(OneAtATime);

void BM_FromDiskEpoll(benchmark::State& state) { ReadByTasks(state, &MakeEpoll, /*cold=*/true); }
BENCHMARK(BM_FromDiskEpoll)->Apply(OneAndMany);

void BM_FromDiskIoUring(benchmark::State& state) {
  ReadByTasks(state, &MakeIoUring, /*cold=*/true);
}
BENCHMARK(BM_FromDiskIoUring)->Apply(OneAndMany);

}  // namespace
}  // namespace plait
