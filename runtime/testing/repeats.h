// Repeats: how often a test tries what it hopes to meet an unlucky moment in.
//
//   for (int i = 0; i < Repeats(2000); ++i) RaceOnce();
//   for (const int i : ShareOf(200)) RaceAfterTurns(i % 7);  // where i is what makes them
//   different
//
// That is all 2000 and all 200 where the test is run once. Where it is run again and again
// (--config=soak, which says so in PLAIT_TEST_RUNS), each run does a share, in new threads and at
// other addresses, and the next run the next share. All runs together do the whole four times, and
// 200 of them do not take as long as 200.
//
// It is for chances, and for what is long though no thread has a part in it, which the one run is
// enough for. A number without which a run says nothing (so many overflow) stays as it is.
#ifndef PLAIT_RUNTIME_TESTING_REPEATS_H_
#define PLAIT_RUNTIME_TESTING_REPEATS_H_

#include <cstdint>

namespace plait {

// For range-for: `size` of the numbers below `whole`, from `first` on and, after the last, from 0.
struct Share {
  int whole = 0;
  int first = 0;
  int size = 0;

  struct Iterator {
    int64_t at;
    int whole;

    int operator*() const { return static_cast<int>(at % whole); }
    Iterator& operator++() {
      ++at;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at != other.at; }
  };
  Iterator begin() const { return {first, whole}; }
  Iterator end() const { return {int64_t{first} + size, whole}; }
};

// One of many runs of a test.
struct TestRun {
  int runs = 1;
  int number = 0;  // from 0

  // This run's part of what has so many, and a few of them at least.
  Share ShareOf(int whole) const;
  // Whether this run tries the case of this number, of many that need not be tried at once.
  bool Takes(int64_t index) const;
};

// As the environment says: PLAIT_TEST_RUNS, and Bazel's TEST_RANDOM_SEED, which counts the runs
// from 1.
const TestRun& ThisTestRun();

inline Share ShareOf(int whole) { return ThisTestRun().ShareOf(whole); }
inline int Repeats(int whole) { return ShareOf(whole).size; }

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_REPEATS_H_
