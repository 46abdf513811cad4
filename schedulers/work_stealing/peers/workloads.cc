#include "plait/schedulers/work_stealing/peers/workloads.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

namespace peers {
namespace {

// Compiled once for any machine and once for wider vectors. Whole blocks have a constant size,
// which lets the compiler use vectors at -O2 too.
[[gnu::always_inline]] inline void MultiplyAnyBlock(const int* __restrict a,
                                                    const int* __restrict b, int* __restrict c,
                                                    int n, int stride) {
  for (int i = 0; i < n; ++i) {
    for (int k = 0; k < n; ++k) {
      for (int j = 0; j < n; ++j) c[i * stride + j] += a[i * stride + k] * b[k * stride + j];
    }
  }
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void MultiplyWholeBlockAvx2(const int* a, const int* b, int* c,
                                                    int stride) {
  MultiplyAnyBlock(a, b, c, kMatmulBlock, stride);
}
#endif

void MultiplyWholeBlock(const int* a, const int* b, int* c, int stride) {
  MultiplyAnyBlock(a, b, c, kMatmulBlock, stride);
}

constexpr size_t kPage = 4096;

size_t Elements(int n) { return static_cast<size_t>(n) * static_cast<size_t>(n); }

// From one matrix to the next: whole pages, and a quarter of one, as the processor takes a load for
// one of what was just stored where the two agree in the last twelve bits of their addresses.
size_t BytesApart(int n) {
  return (Elements(n) * sizeof(int) + kPage - 1) / kPage * kPage + kPage / 4;
}

int* Map(size_t size) {
  void* const memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  return static_cast<int*>(memory);
}

}  // namespace

int64_t FibAnswer(int n) {
  int64_t a = 0;
  int64_t b = 1;
  for (; n > 0; --n) {
    const int64_t next = a + b;
    a = b;
    b = next;
  }
  return a;
}

int64_t SkynetAnswer(int levels) {
  const int64_t leaves = SkynetStep(levels + 1);
  return leaves * (leaves - 1) / 2;
}

int64_t NQueensAnswer(int n) {
  constexpr std::array<int64_t, kMostNQueens + 1> kSolutions = {
      1, 1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200, 73712, 365596, 2279184, 14772512};
  return kSolutions[static_cast<size_t>(n)];
}

int64_t MatmulAnswer(int n) { return int64_t{n} * n * n; }

int64_t ChannelAnswer(int n) { return int64_t{n} * (n - 1) / 2; }

void MultiplyBlock(const int* a, const int* b, int* c, int n, int stride) {
  if (n != kMatmulBlock) return MultiplyAnyBlock(a, b, c, n, stride);
#if defined(__x86_64__)
  static const bool avx2 = __builtin_cpu_supports("avx2") != 0;
  if (avx2) return MultiplyWholeBlockAvx2(a, b, c, stride);
#endif
  MultiplyWholeBlock(a, b, c, stride);
}

Matrices::Matrices(int size)
    : memory_(Map(3 * BytesApart(size)), Unmap{3 * BytesApart(size)}),
      n(size),
      a(memory_.get(), Elements(size)),
      b(a.data() + BytesApart(size) / sizeof(int), a.size()),
      c(b.data() + BytesApart(size) / sizeof(int), a.size()) {
  std::ranges::fill(a, 1);
  std::ranges::fill(b, 1);
  std::ranges::fill(c, 0);
}

void Matrices::Unmap::operator()(int* memory) const { ::munmap(memory, size); }

int64_t Matrices::Check() const {
  int64_t sum = 0;
  for (const int element : c) {
    if (element != n) return -1;
    sum += element;
  }
  return sum;
}

double PeakMib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  return 0;
}

void ForgetPeak() { std::ofstream("/proc/self/clear_refs") << 5; }

}  // namespace peers
