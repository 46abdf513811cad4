// ScSet: a set of the sequentially consistent operations of an execution, by number. Internal.
#ifndef PLAIT_RUNTIME_TESTING_EXPLORER_SC_SET_H_
#define PLAIT_RUNTIME_TESTING_EXPLORER_SC_SET_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace plait::explorer {

class ScSet {
 public:
  static constexpr int kMost = 256;

  ScSet() = default;
  static ScSet Of(int operation) noexcept {
    ScSet result;
    result.Word(operation) = Bit(operation);
    return result;
  }

  bool empty() const noexcept {
    uint64_t any = 0;
    for (uint64_t word : words_) any |= word;
    return any == 0;
  }
  bool Meets(const ScSet& other) const noexcept {
    uint64_t common = 0;
    for (size_t i = 0; i < words_.size(); ++i) common |= words_[i] & other.words_[i];
    return common != 0;
  }

  ScSet& operator|=(const ScSet& other) noexcept {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
    return *this;
  }
  ScSet& operator-=(const ScSet& other) noexcept {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] &= ~other.words_[i];
    return *this;
  }
  friend ScSet operator|(ScSet one, const ScSet& other) noexcept { return one |= other; }
  friend ScSet operator-(ScSet one, const ScSet& other) noexcept { return one -= other; }

  template <class F>
  void ForEach(F visit) const {
    for (size_t i = 0; i < words_.size(); ++i) {
      for (uint64_t word = words_[i]; word != 0; word &= word - 1) {
        visit(i * 64 + static_cast<size_t>(std::countr_zero(word)));
      }
    }
  }

 private:
  static uint64_t Bit(int operation) noexcept { return uint64_t{1} << (operation % 64); }
  uint64_t& Word(int operation) noexcept { return words_[static_cast<size_t>(operation / 64)]; }

  std::array<uint64_t, kMost / 64> words_{};
};

}  // namespace plait::explorer

#endif  // PLAIT_RUNTIME_TESTING_EXPLORER_SC_SET_H_
