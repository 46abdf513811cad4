// What runtime/core/explored_atomic.h declares.
#include <cstring>

#include "plait/runtime/core/explored_atomic.h"
#include "plait/runtime/testing/explorer/execution.h"

namespace plait::internal::explored {
namespace {

using explorer::Execution;
using explorer::InsideExplorer;

// Outside of an exploration there is one thread, or a test that does not use the explorer at all.
template <class F>
auto WithReal(void* at, size_t size, F f) {
  switch (size) {
    case 1:
      return f(static_cast<uint8_t*>(at));
    case 2:
      return f(static_cast<uint16_t*>(at));
    case 4:
      return f(static_cast<uint32_t*>(at));
    default:
      return f(static_cast<uint64_t*>(at));
  }
}

template <class U>
uint64_t ModifyReal(U* at, Change change, U operand) {
  switch (change) {
    case Change::kExchange:
      return __atomic_exchange_n(at, operand, __ATOMIC_SEQ_CST);
    case Change::kAdd:
      return __atomic_fetch_add(at, operand, __ATOMIC_SEQ_CST);
    case Change::kSubtract:
      return __atomic_fetch_sub(at, operand, __ATOMIC_SEQ_CST);
    case Change::kAnd:
      return __atomic_fetch_and(at, operand, __ATOMIC_SEQ_CST);
    case Change::kOr:
      return __atomic_fetch_or(at, operand, __ATOMIC_SEQ_CST);
    case Change::kXor:
      return __atomic_fetch_xor(at, operand, __ATOMIC_SEQ_CST);
  }
  return 0;
}

}  // namespace

void Create(const void* at, size_t size) noexcept {
  if (Execution::Current() == nullptr) return;
  InsideExplorer().execution().Create(at, size);
}

void Destroy(const void* at) noexcept {
  if (Execution::Current() == nullptr) return;
  InsideExplorer().execution().Destroy(at);
}

uint64_t Load(const void* at, size_t size, MemoryOrder order, const Site& site) noexcept {
  if (Execution::Current() == nullptr) {
    return WithReal(const_cast<void*>(at), size,
                    [](auto* real) -> uint64_t { return __atomic_load_n(real, __ATOMIC_SEQ_CST); });
  }
  return InsideExplorer().execution().Load(at, size, order, site);
}

void Store(void* at, size_t size, uint64_t value, MemoryOrder order, const Site& site) noexcept {
  if (Execution::Current() == nullptr) {
    WithReal(at, size, [value](auto* real) {
      __atomic_store_n(real, static_cast<std::remove_pointer_t<decltype(real)>>(value),
                       __ATOMIC_SEQ_CST);
    });
    return;
  }
  InsideExplorer().execution().Store(at, size, value, order, site);
}

uint64_t Modify(void* at, size_t size, Change change, uint64_t operand, MemoryOrder order,
                const Site& site) noexcept {
  if (Execution::Current() == nullptr) {
    return WithReal(at, size, [&](auto* real) -> uint64_t {
      return ModifyReal(real, change, static_cast<std::remove_pointer_t<decltype(real)>>(operand));
    });
  }
  return InsideExplorer().execution().Modify(at, size, change, operand, order, site);
}

bool CompareExchange(void* at, size_t size, uint64_t& expected, uint64_t desired, bool weak,
                     MemoryOrder success, MemoryOrder failure, const Site& site) noexcept {
  if (Execution::Current() == nullptr) {
    return WithReal(at, size, [&](auto* real) {
      using U = std::remove_pointer_t<decltype(real)>;
      auto wanted = static_cast<U>(expected);
      const bool done = __atomic_compare_exchange_n(real, &wanted, static_cast<U>(desired), false,
                                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
      expected = wanted;
      return done;
    });
  }
  return InsideExplorer().execution().CompareExchange(at, size, expected, desired, weak, success,
                                                      failure, site);
}

void Fence(MemoryOrder order, const Site& site) noexcept {
  if (Execution::Current() == nullptr) return;
  InsideExplorer().execution().Fence(order, &site);
}

void HeavyBarrier(const Site& site) noexcept {
  if (Execution::Current() == nullptr) return;
  InsideExplorer().execution().HeavyBarrier(site);
}

void LightBarrier(const Site& site) noexcept {
  if (Execution::Current() == nullptr) return;
  InsideExplorer().execution().LightBarrier(site);
}

void Spin(const Site& site) noexcept {
  if (Execution::Current() == nullptr) return;
  InsideExplorer().execution().Spin(site);
}

// Outside of an exploration there is nobody who could wake it.
void FutexWait(const void* at, uint32_t value, bool times_out, const Site& site) noexcept {
  if (Execution::Current() == nullptr) return;
  InsideExplorer().execution().FutexWait(at, value, times_out, site);
}

void FutexWake(const void* at, const Site& site) noexcept {
  if (Execution::Current() == nullptr) return;
  InsideExplorer().execution().FutexWake(at, site);
}

}  // namespace plait::internal::explored
