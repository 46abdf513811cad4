#include "plait/examples/thumbnails/make_thumbnails.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "plait/examples/support/show.h"
#include "plait/examples/support/timing.h"
#include "plait/io/file/file.h"
#include "plait/runtime/runtime.h"

namespace examples {
namespace {

using plait::DirectoryEntry;
using plait::FileKind;
using plait::OrReturn;
using plait::Task;

// A larger file is no image that somebody wants a thumbnail of.
constexpr size_t kMaxFileBytes = size_t{256} << 20;
// As much of a file as says whether it is an image.
constexpr size_t kHeadBytes = 16;

// A file's bytes, or why nobody wants them.
struct Found {
  std::string bytes;
  absl::string_view not_an_image;
};

absl::string_view WhyNoFile(FileKind kind) {
  switch (kind) {
    case FileKind::kRegular:
    case FileKind::kSymbolicLink:
      return "";
    case FileKind::kDirectory:
      return "a folder";
    case FileKind::kPipe:
    case FileKind::kSocket:
    case FileKind::kOther:
      break;
  }
  return "not a file";
}

Task<absl::StatusOr<Found>> ReadImage(std::string path) {
  Found found;
  plait::File file = co_await OrReturn(plait::OpenFile(std::move(path)));
  const plait::FileStatus status = co_await OrReturn(file.Status());
  found.not_an_image = WhyNoFile(status.kind);
  if (!found.not_an_image.empty()) co_return found;
  char head[kHeadBytes];
  const size_t size = co_await OrReturn(file.ReadFullyAt(absl::MakeSpan(head), 0));
  if (!LooksLikeImage(absl::string_view(head, size))) {
    found.not_an_image = "neither a JPEG nor a PNG";
    co_return found;
  }
  found.bytes = co_await OrReturn(file.ReadAll(kMaxFileBytes));
  co_await OrReturn(file.Close());
  co_return found;
}

std::string Join(absl::string_view folder, absl::string_view name) {
  return absl::StrCat(folder, absl::EndsWith(folder, "/") ? "" : "/", name);
}

std::string ShowSize(ImageSize size) { return absl::StrCat(size.width, "x", size.height); }

// In one line, whatever a process has said last.
std::string OneLine(const absl::Status& status) {
  const std::string text = status.ToString();
  return absl::StrReplaceAll(absl::StripSuffix(text, "\n"), {{"\n", " | "}});
}

// Notes how long it lives.
class Noted {
 public:
  Noted(const Stopwatch& watch, std::vector<Span>& spans)
      : watch_(watch), spans_(spans), begin_(watch.elapsed()) {}
  Noted(const Noted&) = delete;
  Noted& operator=(const Noted&) = delete;
  ~Noted() { spans_.push_back({begin_, watch_.elapsed()}); }

 private:
  const Stopwatch& watch_;
  std::vector<Span>& spans_;
  const absl::Duration begin_;
};

// What one hand did, which may be on a thread of its own.
struct Share {
  BatchResult sums;
  std::vector<Span> with_files;
  std::vector<Span> in_processes;
};

class Batch {
 public:
  Batch(plait::ProcessPool& pool, BatchOptions options, Console& console)
      : pool_(pool), options_(std::move(options)), console_(console) {}

  Task<absl::StatusOr<BatchResult>> Run() {
    std::vector<DirectoryEntry> entries = co_await OrReturn(plait::ListDirectory(options_.from));
    co_await OrReturn(CheckCrash(entries));
    co_await OrReturn(MakePlace());
    for (DirectoryEntry& entry : entries) co_await OrReturn(entries_.Put(std::move(entry)));
    entries_.Close();  // hands end when there is nothing left in it

    std::vector<Task<absl::StatusOr<Share>>> hands;
    for (int64_t i = 0; i < options_.at_once; ++i) hands.push_back(Hand());
    const std::vector<Share> shares = co_await OrReturn(plait::Gather(std::move(hands)));
    console_.Progress("");
    co_return Sum(shares);
  }

 private:
  // Whether there is an image for the decoder with the mistake.
  absl::Status CheckCrash(const std::vector<DirectoryEntry>& entries) const {
    const auto is_it = [this](const DirectoryEntry& entry) { return entry.name == options_.crash; };
    if (options_.crash.empty() || std::any_of(entries.begin(), entries.end(), is_it)) {
      return absl::OkStatus();
    }
    return absl::NotFoundError(absl::StrCat("there is no \"", options_.crash, "\" in \"",
                                            options_.from, "\" for the decoder that crashes"));
  }

  // The folder for the thumbnails.
  Task<absl::Status> MakePlace() {
    co_await OrReturn(plait::MakeDirectories(options_.to));
    const plait::FileStatus from = co_await OrReturn(plait::StatusOf(options_.from));
    const plait::FileStatus to = co_await OrReturn(plait::StatusOf(options_.to));
    if (from.device == to.device && from.inode == to.inode) {
      co_return absl::InvalidArgumentError(
          absl::StrCat("\"", options_.to,
                       "\" is the folder that the images are in: thumbnails would take their "
                       "place"));
    }
    co_return absl::OkStatus();
  }

  Task<absl::StatusOr<Share>> Hand() {
    Share share;
    for (;;) {
      absl::StatusOr<DirectoryEntry> entry = co_await entries_.Get();
      if (absl::IsFailedPrecondition(entry.status())) co_return share;
      if (!entry.ok()) co_return entry.status();
      const absl::Status made = co_await Make(*entry, share);
      if (absl::IsCancelled(made)) co_return made;
      if (!made.ok()) {
        ++share.sums.failed;
        Say(absl::StrCat("!! ", entry->name, ": ", OneLine(made)), Color::kRed);
      }
      console_.Progress(absl::StrCat(" ", entries_.size(), " to go"));
    }
  }

  Task<absl::Status> Make(const DirectoryEntry& entry, Share& share) {
    Found found;
    found.not_an_image = WhyNoFile(entry.kind);
    if (found.not_an_image.empty()) {
      const Noted noted(watch_, share.with_files);
      found = co_await OrReturn(ReadImage(Join(options_.from, entry.name)));
    }
    if (!found.not_an_image.empty()) {
      if (entry.name == options_.crash) {
        co_return absl::InvalidArgumentError(
            absl::StrCat("it is ", found.not_an_image, ", and no decoder can crash on it"));
      }
      ++share.sums.skipped;
      Say(absl::StrCat("-- ", entry.name, ": ", found.not_an_image, ", skipped"), Color::kYellow);
      co_return absl::OkStatus();
    }
    share.sums.bytes_read += static_cast<int64_t>(found.bytes.size());

    std::optional<Thumbnail> thumbnail;
    {
      const Noted noted(watch_, share.in_processes);
      thumbnail = co_await OrReturn(Scale(entry.name, found.bytes));
    }
    const size_t written = thumbnail->file.size();
    {
      const Noted noted(watch_, share.with_files);
      co_await OrReturn(
          plait::WriteFileAtomically(Join(options_.to, entry.name), std::move(thumbnail->file)));
    }
    share.sums.bytes_written += static_cast<int64_t>(written);
    ++share.sums.made;
    Say(absl::StrCat(entry.name, ": ", ShowSize(thumbnail->original), " to ",
                     ShowSize(thumbnail->size), ", ",
                     ShowBytes(static_cast<int64_t>(found.bytes.size())), " to ",
                     ShowBytes(static_cast<int64_t>(written))),
        Color::kCyan);
    co_return absl::OkStatus();
  }

  // In a process. The file goes there through shared memory; nothing copies it here.
  Task<absl::StatusOr<Thumbnail>> Scale(absl::string_view name, absl::string_view file) {
    plait::CallOptions call;
    call.timeout = options_.timeout;
    const auto& function = name == options_.crash ? kMakeThumbnailAndCrash : kMakeThumbnail;
    return pool_.CallWith(call, function, file, options_.thumbnail);
  }

  BatchResult Sum(const std::vector<Share>& shares) const {
    BatchResult sum;
    std::vector<Span> with_files;
    std::vector<Span> in_processes;
    for (const Share& share : shares) {
      sum.made += share.sums.made;
      sum.failed += share.sums.failed;
      sum.skipped += share.sums.skipped;
      sum.bytes_read += share.sums.bytes_read;
      sum.bytes_written += share.sums.bytes_written;
      with_files.insert(with_files.end(), share.with_files.begin(), share.with_files.end());
      in_processes.insert(in_processes.end(), share.in_processes.begin(), share.in_processes.end());
    }
    sum.busy = MeasureOverlap(std::move(with_files), std::move(in_processes));
    sum.took = watch_.elapsed();
    return sum;
  }

  void Say(absl::string_view what, Color color) {
    console_.Print(absl::StrCat(" ", Stamp(watch_.elapsed()), " ", ShowText(what)), color);
  }

  plait::ProcessPool& pool_;
  const BatchOptions options_;
  Console& console_;
  const Stopwatch watch_;
  plait::Queue<DirectoryEntry> entries_;
};

}  // namespace

Task<absl::StatusOr<BatchResult>> MakeThumbnails(plait::ProcessPool& pool, BatchOptions options,
                                                 Console& console) {
  Batch batch(pool, std::move(options), console);
  co_return co_await batch.Run();
}

}  // namespace examples
