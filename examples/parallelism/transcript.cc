#include "plait/examples/parallelism/transcript.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace examples {

Transcript::Transcript(Console& console, std::string title, int tasks, plait::Clock& clock)
    : console_(console),
      title_(std::move(title)),
      watch_(clock),
      spans_(static_cast<size_t>(tasks)) {}

void Transcript::Start(int number) { Tell("Start work", number, &Span::start); }

void Transcript::Finish(int number) { Tell("Finished work", number, &Span::finish); }

void Transcript::Tell(absl::string_view what, int number, absl::Duration Span::* when) {
  // The time is taken under the lock, so that the lines are in the order of their stamps.
  std::lock_guard<std::mutex> lock(mutex_);
  const absl::Duration now = watch_.elapsed();
  spans_[static_cast<size_t>(number)].*when = now;
  if (when == &Span::finish) ++finished_;
  console_.Print(absl::StrFormat("%s: %s for number=%d", Stamp(now), what, number));
}

void Transcript::Fail(int number, absl::string_view why) {
  std::lock_guard<std::mutex> lock(mutex_);
  ++failed_;
  console_.Print(absl::StrCat(Stamp(watch_.elapsed()), ": number=", number, " ", why), Color::kRed);
}

void Transcript::Note(absl::string_view text) { console_.Print(text); }

void Transcript::End() {
  total_ = watch_.elapsed();
  console_.Print(absl::StrCat("Finished program after ", Stamp(total_)));
}

absl::Duration Transcript::sum_of_tasks() const {
  absl::Duration sum;
  for (const Span& span : spans_) {
    if (span.finish != absl::InfiniteDuration()) sum += span.finish - span.start;
  }
  return sum;
}

std::vector<std::string> Transcript::Timeline(int columns) const {
  std::vector<std::string> lines;
  for (size_t number = 0; number < spans_.size(); ++number) {
    const Span& span = spans_[number];
    const auto column = [&](absl::Duration at) {
      if (at >= total_) return columns;
      return static_cast<int>(absl::FDivDuration(at, total_) * columns + 0.5);  // the nearest
    };
    const int start = std::min(column(span.start), columns - 1);
    // A task that took no time to speak of shows as well.
    const int length = std::max(column(span.finish) - start, 1);
    std::string line(static_cast<size_t>(columns), ' ');
    if (span.start != absl::InfiniteDuration()) {
      line.replace(static_cast<size_t>(start), static_cast<size_t>(length),
                   static_cast<size_t>(length), '=');
    }
    lines.push_back(absl::StrFormat("  number=%-3d |%s|", number, line));
  }
  return lines;
}

std::string Transcript::ProgressText() {
  std::lock_guard<std::mutex> lock(mutex_);
  constexpr int kWidth = 20;
  const int tasks = static_cast<int>(spans_.size());
  const int filled = kWidth * finished_ / tasks;
  return absl::StrFormat("%s [%s%s] %d of %d finished, %.1f s", title_, std::string(filled, '#'),
                         std::string(kWidth - filled, '.'), finished_, tasks,
                         absl::ToDoubleSeconds(watch_.elapsed()));
}

Transcript::Progress::Progress(Transcript& transcript) : transcript_(transcript) {
  if (!transcript_.console_.interactive()) return;
  transcript_.console_.Progress(transcript_.ProgressText());
  thread_ = plait::StartThread("progress", [this] {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!ending_.wait_for(lock, std::chrono::milliseconds(50), [this] { return ended_; })) {
      transcript_.console_.Progress(transcript_.ProgressText());
    }
  });
}

Transcript::Progress::~Progress() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
  }
  ending_.notify_one();  // at once: the time that this takes would be measured as work
  thread_.join();
  transcript_.console_.Progress("");
}

}  // namespace examples
