// Decisions: the search through everything that an execution may choose, depth first. Internal.
#ifndef PLAIT_RUNTIME_TESTING_EXPLORER_DECISIONS_H_
#define PLAIT_RUNTIME_TESTING_EXPLORER_DECISIONS_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace plait::explorer {

class Decisions {
 public:
  // Begins an execution, which chooses as the last one did as far as Advance has left it.
  void Rewind() noexcept {
    next_ = 0;
    settled_ = false;
  }
  // Whether what is chosen next has not been chosen before.
  bool fresh() const noexcept { return next_ == path_.size() && !settled_; }
  // Nothing that this execution may still choose need be explored: it takes the first of
  // everything.
  void Settle() noexcept { settled_ = true; }
  bool settled() const noexcept { return settled_; }

  // One of 0 .. count - 1. What need not be chosen is not kept.
  int Choose(int count) noexcept {
    if (count <= 1 || settled_) return 0;
    if (next_ == path_.size()) path_.push_back({.chosen = 0, .count = count});
    Decision& decision = path_[next_++];
    // Of a written schedule the counts are not known.
    if (decision.count == 0) decision.count = count;
    return decision.chosen < count ? decision.chosen : 0;
  }

  // On to the next execution; false when that was the last.
  bool Advance() noexcept {
    path_.resize(next_);
    while (!path_.empty()) {
      if (++path_.back().chosen < path_.back().count) return true;
      path_.pop_back();
    }
    return false;
  }

  // The decisions of the last execution, as a word that Read understands.
  std::string ToString() const {
    std::string result;
    for (size_t i = 0; i < next_; ++i) {
      if (!result.empty()) result += '.';
      result += std::to_string(path_[i].chosen);
    }
    return result;
  }
  // The next execution decides so, and takes the first of everything after that.
  void Read(std::string_view schedule) {
    path_.clear();
    int number = 0;
    for (size_t i = 0; i <= schedule.size() && !schedule.empty(); ++i) {
      if (i < schedule.size() && schedule[i] >= '0' && schedule[i] <= '9') {
        number = number * 10 + (schedule[i] - '0');
      } else {
        path_.push_back({.chosen = number, .count = 0});
        number = 0;
      }
    }
  }

 private:
  struct Decision {
    int chosen;
    int count;
  };
  std::vector<Decision> path_;
  size_t next_ = 0;
  bool settled_ = false;
};

}  // namespace plait::explorer

#endif  // PLAIT_RUNTIME_TESTING_EXPLORER_DECISIONS_H_
