#include "plait/examples/wordcount/count_files.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/examples/support/show.h"
#include "plait/examples/support/timing.h"
#include "plait/io/file/file.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace examples {
namespace {

using plait::AsyncGenerator;
using plait::OrReturn;
using plait::Task;

// The words of a file, some at a time: each piece begins and ends where a word does.
AsyncGenerator<absl::StatusOr<std::string>> Pieces(const plait::File& file, CountOptions options) {
  const auto size = static_cast<size_t>(options.piece_bytes);
  std::string text;
  for (;;) {
    const size_t carried = text.size();
    text.resize(carried + size);
    if (options.slow_disk > absl::ZeroDuration()) {
      co_await OrReturn(plait::Sleep(options.slow_disk));
    }
    const size_t count = co_await OrReturn(file.Read(absl::MakeSpan(text.data() + carried, size)));
    text.resize(carried + count);
    if (count == 0) break;
    // What is no text may go on for ever without the end of a word.
    const size_t whole = carried > size ? text.size() : WholeWords(text);
    if (whole == 0) continue;
    std::string rest = text.substr(whole);
    text.resize(whole);
    const bool more = co_yield std::exchange(text, std::move(rest));
    if (!more) co_return;
  }
  if (!text.empty()) co_yield std::move(text);
}

struct Counted {
  WordCounts words;
  absl::Duration took;
};

Counted Count(absl::string_view text) {
  const Stopwatch watch;
  Counted counted;
  counted.words.Add(text);
  counted.took = watch.elapsed();
  return counted;
}

// What one of the two ways does. All but the counting is done on the loop's thread.
class Session {
 public:
  Session(const std::vector<std::string>& paths, const CountOptions& options, Console& console)
      : options_(options), console_(console) {
    for (const std::string& path : paths) files_.push_back({.path = path});
  }

  Task<absl::StatusOr<CountResult>> OneByOne() {
    const auto count = [this](size_t file, std::string text) -> Task<absl::Status> {
      Take(file, Count(text), text.size());
      co_return absl::OkStatus();
    };
    for (size_t file = 0; file < files_.size(); ++file) {
      const absl::Status read = co_await Read(file, count);
      co_await OrReturn(EndOfFile(file, read));
    }
    co_return Finish();
  }

  Task<absl::StatusOr<CountResult>> Overlapped() {
    plait::Queue<Piece> queue(static_cast<size_t>(options_.counters) + 1);
    plait::ThreadPool pool({.threads = static_cast<int>(options_.counters), .name = "count"});
    std::vector<Task<absl::Status>> tasks;
    tasks.push_back(ReadAll(queue));
    for (int64_t i = 0; i < options_.counters; ++i) tasks.push_back(CountPieces(queue, pool));
    co_await OrReturn(plait::Gather(std::move(tasks)));
    co_return Finish();
  }

 private:
  struct FileState {
    std::string path;
    int64_t bytes = 0;
    int64_t words = 0;
    int64_t waiting = 0;  // pieces that are not counted yet
    bool read = false;    // to its end
  };
  struct Piece {
    size_t file = 0;
    std::string text;
  };

  // Gives every piece of the file to `use(file, text)`, and waits for that.
  template <class Use>
  Task<absl::Status> Read(size_t file, const Use& use) {
    plait::File opened = co_await OrReturn(plait::OpenFile(files_[file].path));
    if (!options_.keep_cache) co_await OrReturn(opened.DropCache());
    AsyncGenerator<absl::StatusOr<std::string>> pieces = Pieces(opened, options_);
    for (;;) {
      const Stopwatch watch;
      auto piece = co_await pieces.Next();
      result_.reading += watch.elapsed();
      if (!piece.has_value()) break;
      if (!piece->ok()) co_return piece->status();
      co_await OrReturn(use(file, **std::move(piece)));
    }
    co_return co_await opened.Close();
  }

  // Several of these read all files, each the next one that nobody has.
  Task<absl::Status> ReadSome(plait::Queue<Piece>& queue) {
    const auto put = [&](size_t file, std::string text) -> Task<absl::Status> {
      ++files_[file].waiting;
      Piece piece{.file = file, .text = std::move(text)};
      co_return co_await queue.Put(std::move(piece));
    };
    while (next_ < files_.size()) {
      const size_t file = next_++;
      const absl::Status read = co_await Read(file, put);
      co_await OrReturn(EndOfFile(file, read));
    }
    co_return absl::OkStatus();
  }

  Task<absl::Status> ReadAll(plait::Queue<Piece>& queue) {
    std::vector<Task<absl::Status>> readers;
    for (int64_t i = 0; i < options_.readers; ++i) readers.push_back(ReadSome(queue));
    const absl::Status read = co_await plait::Gather(std::move(readers));
    queue.Close();  // the counters end when they have taken what is left
    co_return read;
  }

  Task<absl::Status> CountPieces(plait::Queue<Piece>& queue, plait::ThreadPool& pool) {
    for (;;) {
      absl::StatusOr<Piece> piece = co_await queue.Get();
      if (absl::IsFailedPrecondition(piece.status())) co_return absl::OkStatus();
      if (!piece.ok()) co_return piece.status();
      const auto count = [&] { return Count(piece->text); };
      Counted counted = co_await plait::RunIn(pool, count);
      --files_[piece->file].waiting;
      Take(piece->file, counted, piece->text.size());
      ShowIfDone(piece->file);
    }
  }

  void Take(size_t file, const Counted& counted, size_t bytes) {
    files_[file].bytes += static_cast<int64_t>(bytes);
    files_[file].words += counted.words.total();
    result_.bytes += static_cast<int64_t>(bytes);
    result_.counting += counted.took;
    result_.words.Merge(counted.words);
    console_.Progress(absl::StrCat(" ", ShowBytes(result_.bytes), " counted"));
  }

  // One file that cannot be read is told, and is not the end of the others. A cancel is.
  absl::Status EndOfFile(size_t file, const absl::Status& read) {
    if (absl::IsCancelled(read)) return read;
    if (read.ok()) {
      files_[file].read = true;
      ShowIfDone(file);
    } else {
      ++result_.failed;
      Say(absl::StrCat("!! ", read.ToString()), Color::kRed);
    }
    return absl::OkStatus();
  }

  void ShowIfDone(size_t file) {
    const FileState& state = files_[file];
    if (!state.read || state.waiting > 0) return;
    Say(absl::StrFormat("%s: %d words, %s", state.path, state.words, ShowBytes(state.bytes)),
        Color::kCyan);
  }

  void Say(absl::string_view what, Color color) {
    console_.Print(absl::StrCat(" ", Stamp(watch_.elapsed()), " ", ShowText(what)), color);
  }

  CountResult Finish() {
    console_.Progress("");
    result_.took = watch_.elapsed();
    return std::move(result_);
  }

  const CountOptions options_;
  Console& console_;
  const Stopwatch watch_;
  std::vector<FileState> files_;
  size_t next_ = 0;
  CountResult result_;
};

}  // namespace

Task<absl::StatusOr<CountResult>> CountOneByOne(const std::vector<std::string>& paths,
                                                const CountOptions& options, Console& console) {
  Session session(paths, options, console);
  co_return co_await session.OneByOne();
}

Task<absl::StatusOr<CountResult>> CountOverlapped(const std::vector<std::string>& paths,
                                                  const CountOptions& options, Console& console) {
  Session session(paths, options, console);
  co_return co_await session.Overlapped();
}

}  // namespace examples
