#include "plait/schedulers/work_stealing/idle_set.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#include "plait/runtime/core/check.h"

namespace plait::internal {
namespace {

int Checked(int workers) {
  PLAIT_CHECK(workers > 0, "an IdleSet is of at least one worker");
  return workers;
}

}  // namespace

IdleSet::IdleSet(int workers)
    : workers_(Checked(workers)),
      parked_(std::make_unique<Parked[]>(static_cast<size_t>((workers + 63) / 64))),
      own_(std::make_unique<Own[]>(static_cast<size_t>(workers))) {}

IdleSet::~IdleSet() = default;

int IdleSet::ClaimAny() noexcept {
  for (int first = 0; first < workers_; first += 64) {
    Atomic<uint64_t>& parked = Bits(first);
    uint64_t bits = parked.load(kRelaxed);
    while (bits != 0) {
      const uint64_t bit = bits & -bits;
      bits = parked.fetch_and(~bit, kRelease);
      if ((bits & bit) != 0) {
        searching_.fetch_add(1, kRelaxed);
        return first + std::countr_zero(bit);
      }
      // It has woken up by itself, or others have claimed it: the next, if there is one.
    }
  }
  return kNobody;
}

bool IdleSet::ClaimParked(int worker) noexcept {
  // A modification even where the bit is not set: that is what PreparePark acquires.
  if ((Bits(worker).fetch_and(~Bit(worker), kRelease) & Bit(worker)) == 0) return false;
  searching_.fetch_add(1, kRelaxed);
  return true;
}

bool IdleSet::BeginSearch(int worker) noexcept {
  bool& searches = own_[worker].searches;
  if (searches) return true;
  // Not exact, and need not be.
  if (2 * searching_.load(kRelaxed) >= workers_) return false;
  searching_.fetch_add(1, kRelaxed);
  searches = true;
  return true;
}

bool IdleSet::EndSearch(int worker) noexcept {
  bool& searches = own_[worker].searches;
  if (!searches) return false;
  searches = false;
  // Less than one where a claim has yet to be counted.
  return searching_.fetch_sub(1, kSeqCst) <= 1;
}

void IdleSet::PreparePark(int worker) noexcept {
  bool& searches = own_[worker].searches;
  Bits(worker).fetch_or(Bit(worker), kAcquire);
  searching_.fetch_sub(searches ? 1 : 0, kSeqCst);
  searches = false;
}

bool IdleSet::CancelPark(int worker) noexcept {
  if ((Bits(worker).fetch_and(~Bit(worker), kAcquire) & Bit(worker)) != 0) return true;
  own_[worker].searches = true;
  return false;
}

int IdleSet::searching() const noexcept { return std::max(0, searching_.load(kRelaxed)); }

int IdleSet::parked() const noexcept {
  int count = 0;
  for (int i = 0; i < (workers_ + 63) / 64; ++i) {
    count += std::popcount(parked_[i].bits.load(kRelaxed));
  }
  return count;
}

}  // namespace plait::internal
