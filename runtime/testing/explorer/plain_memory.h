// PlainMemory: who has read and written which bytes in an execution, to find data races and uses of
// freed memory. Internal.
//
// The compiler calls us at every access that the code under test makes (compiler_hooks.cc). Two
// accesses to a byte race if one of them writes, at least one is not atomic, and neither happens
// before the other; whichever way an execution schedules them, their clocks show it.
#ifndef PLAIT_RUNTIME_TESTING_EXPLORER_PLAIN_MEMORY_H_
#define PLAIT_RUNTIME_TESTING_EXPLORER_PLAIN_MEMORY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "plait/runtime/testing/explorer/clock.h"

namespace plait::explorer {

class PlainMemory {
 public:
  enum Kind : uint8_t { kRead = 0, kWrite = 1, kFree = 3, kAtomicRead = 4, kAtomicWrite = 5 };
  struct Access {
    int thread = 0;
    Kind kind = kRead;
    const void* code = nullptr;  // the address of an instruction of its
  };
  struct Clash {
    bool found = false;
    Access earlier;
  };

  PlainMemory();

  // Forgets everything; takes no time.
  void Reset() noexcept;

  // `now`: the thread's clock. Nothing is noted of an access that clashes.
  Clash Note(uintptr_t begin, size_t size, const Access& access, const Clock& now) noexcept;

 private:
  // A thread's last access of a kind.
  struct Last {
    uint32_t index = 0;  // the number of the thread's operation after it; 0: there was none
    const void* code = nullptr;
  };
  // What was done to some bytes of a word, always to the same ones.
  struct Cell {
    uint8_t bytes = 0;  // a bit for each
    bool freed = false;
    int next = -1;  // another cell of the same word
    // Plain writes are all ordered, so that the last one is enough. (So is a plain write after all
    // atomic ones, or it was a race.) Atomic writes are not, and neither are reads.
    Last write;
    int writer = 0;
    std::array<Last, kMaxThreads> reads;
    std::array<Last, kMaxThreads> atomic_writes;
    std::array<Last, kMaxThreads> atomic_reads;
  };
  struct Word {
    uintptr_t address = 0;
    uint32_t generation = 0;
    int first = -1;
  };

  Word& Find(uintptr_t address) noexcept;
  Clash NoteWord(uintptr_t address, uint8_t bytes, const Access& access, const Clock& now) noexcept;

  std::vector<Word> words_;  // a hash table with open addressing
  std::vector<Cell> cells_;
  uint32_t generation_ = 1;
  size_t used_ = 0;
};

}  // namespace plait::explorer

#endif  // PLAIT_RUNTIME_TESTING_EXPLORER_PLAIN_MEMORY_H_
