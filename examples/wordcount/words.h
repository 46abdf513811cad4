// Counting words: the part that needs a processor and nothing else.
#ifndef PLAIT_EXAMPLES_WORDCOUNT_WORDS_H_
#define PLAIT_EXAMPLES_WORDCOUNT_WORDS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace examples {

// A word is a run of letters, digits, apostrophes and whatever is not ASCII; "The" is "the".
class WordCounts {
 public:
  // Counts the words of `text`.
  void Add(absl::string_view text);
  void Merge(const WordCounts& other);

  int64_t total() const { return total_; }
  size_t distinct() const { return counts_.size(); }
  // The `n` most frequent ones; of equally frequent ones the first by their bytes.
  std::vector<std::pair<std::string, int64_t>> Top(size_t n) const;

  friend bool operator==(const WordCounts& a, const WordCounts& b) {
    return a.counts_ == b.counts_;
  }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const { return std::hash<std::string_view>()(word); }
  };

  void Count(std::string_view word, int64_t times);

  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> counts_;
  int64_t total_ = 0;
};

// How many of the first bytes of `text` hold whole words only, whatever follows it; 0 where a
// single word begins at its start and does not end.
size_t WholeWords(absl::string_view text);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_WORDCOUNT_WORDS_H_
