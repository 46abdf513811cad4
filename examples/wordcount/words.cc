#include "plait/examples/wordcount/words.h"

#include <algorithm>

namespace examples {
namespace {

bool IsOfAWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '\'' ||
         static_cast<unsigned char>(c) >= 0x80;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

void WordCounts::Count(std::string_view word, int64_t times) {
  total_ += times;
  const auto found = counts_.find(word);
  if (found != counts_.end()) {
    found->second += times;
  } else {
    counts_.emplace(word, times);
  }
}

void WordCounts::Add(absl::string_view text) {
  std::string word;
  for (const char c : text) {
    if (IsOfAWord(c)) {
      word.push_back(Lower(c));
    } else if (!word.empty()) {
      Count(word, 1);
      word.clear();
    }
  }
  if (!word.empty()) Count(word, 1);
}

void WordCounts::Merge(const WordCounts& other) {
  for (const auto& [word, times] : other.counts_) Count(word, times);
}

std::vector<std::pair<std::string, int64_t>> WordCounts::Top(size_t n) const {
  std::vector<std::pair<std::string, int64_t>> all(counts_.begin(), counts_.end());
  n = std::min(n, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<ptrdiff_t>(n), all.end(),
                    [](const auto& a, const auto& b) {
                      return a.second != b.second ? a.second > b.second : a.first < b.first;
                    });
  all.resize(n);
  return all;
}

size_t WholeWords(absl::string_view text) {
  size_t size = text.size();
  while (size > 0 && IsOfAWord(text[size - 1])) --size;
  return size;
}

}  // namespace examples
