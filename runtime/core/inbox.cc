#include "plait/runtime/core/inbox.h"

namespace plait::internal {
namespace {

// Its address is the state "asleep"; it is never run.
constinit WorkItem asleep;

}  // namespace

bool Inbox::Push(WorkItem& item) noexcept {
  WorkItem* head = head_.load(kRelaxed);
  do {
    // Atomically, as the consumer may be looking at a coroutine that it has suspended
    // (runtime/task/await_note.h).
    __atomic_store_n(&item.next, head == &asleep ? nullptr : head, __ATOMIC_RELAXED);
  } while (!head_.compare_exchange_weak(head, &item, kRelease, kRelaxed));
  return head == &asleep;
}

bool Inbox::has_items() const noexcept {
  const WorkItem* head = head_.load(kRelaxed);
  return head != nullptr && head != &asleep;
}

void Inbox::DrainSlow(WorkQueue& ready) noexcept {
  WorkItem* newest = head_.exchange(nullptr, kAcquire);
  if (newest == &asleep) return;
  WorkItem* oldest = nullptr;
  while (newest != nullptr) {
    WorkItem* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  while (oldest != nullptr) {
    WorkItem* next = oldest->next;
    ready.Push(*oldest);
    oldest = next;
  }
}

bool Inbox::PrepareToSleep() noexcept {
  WorkItem* expected = nullptr;
  return head_.compare_exchange_strong(expected, &asleep, kRelaxed, kRelaxed);
}

}  // namespace plait::internal
