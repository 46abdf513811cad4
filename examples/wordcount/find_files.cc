#include "plait/examples/wordcount/find_files.h"

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "plait/io/file/file.h"
#include "plait/runtime/runtime.h"

namespace examples {
namespace {

using plait::OrReturn;
using plait::Task;

// A text as a language has it: a few words are frequent, most are rare.
std::string MadeUpText(unsigned seed, int64_t bytes) {
  constexpr const char* kSyllables[] = {"pla", "it",  "ri", "ver", "sto", "ne", "lo", "op",
                                        "wa",  "ter", "ta", "sk",  "fi",  "le", "mo", "on"};
  std::minstd_rand random(seed);
  std::string text;
  while (static_cast<int64_t>(text.size()) < bytes) {
    // Two numbers, of which the smaller is small most of the time.
    const unsigned word = (random() % 256) * (random() % 256) / 64;
    for (unsigned rest = word + 1; rest > 0; rest /= 16)
      absl::StrAppend(&text, kSyllables[rest % 16]);
    absl::StrAppend(&text, random() % 12 == 0 ? ".\n" : " ");
  }
  text.resize(static_cast<size_t>(bytes));
  return text;
}

Task<absl::Status> WriteToDisk(std::string path, std::string text) {
  const plait::OpenOptions options{.write = true, .create = true};
  plait::File file = co_await OrReturn(plait::OpenFile(path, options));
  co_await OrReturn(file.WriteAll(text));
  co_await OrReturn(file.Sync());
  co_return co_await file.Close();
}

}  // namespace

Task<absl::StatusOr<std::vector<std::string>>> FindFiles(std::vector<std::string> paths) {
  std::vector<std::string> files;
  // The next one is the last.
  std::vector<std::string> left(paths.rbegin(), paths.rend());
  while (!left.empty()) {
    const std::string path = std::move(left.back());
    left.pop_back();
    const absl::StatusOr<plait::FileStatus> status = co_await plait::StatusOf(path);
    if (absl::IsCancelled(status.status())) co_return status.status();
    if (!status.ok() || status->kind != plait::FileKind::kDirectory) {
      files.push_back(path);
      continue;
    }
    const std::vector<plait::DirectoryEntry> entries =
        co_await OrReturn(plait::ListDirectory(path));
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
      if (entry->kind == plait::FileKind::kRegular || entry->kind == plait::FileKind::kDirectory) {
        left.push_back(absl::StrCat(path, path.back() == '/' ? "" : "/", entry->name));
      }
    }
  }
  co_return files;
}

Task<absl::StatusOr<plait::TemporaryDirectory>> MakeDemoFiles(int64_t files, int64_t bytes) {
  plait::TemporaryOptions options;
  options.prefix = "plait-wordcount-";
  plait::TemporaryDirectory folder = co_await OrReturn(plait::MakeTemporaryDirectory(options));
  for (int64_t i = 0; i < files; ++i) {
    const auto make = [i, bytes] { return MadeUpText(static_cast<unsigned>(i) + 1, bytes); };
    std::string text = co_await plait::Offload(make);
    std::string path = absl::StrFormat("%s/text-%02d.txt", folder.path(), i);
    co_await OrReturn(WriteToDisk(std::move(path), std::move(text)));
  }
  co_return folder;
}

}  // namespace examples
