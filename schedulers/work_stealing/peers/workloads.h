// The fork-join workloads of the public comparison tzcnt/runtime-benchmarks: what is the same in
// every program that runs them. How they fork is each program's own.
//
//   fib(n)       every call of n >= 2 forks fib(n - 1), computes fib(n - 2), and adds. No cut-off.
//   skynet(n)    a tree of n levels with 10 children a node; leaf i gives i; every node adds.
//   nqueens(n)   a fork a legal square of the next row, on every row; counts the solutions.
//   matmul(n)    C += A B in ints, all of A and B ones: quarters down to blocks of 32 x 32. Of the
//                eight products of quarters four run side by side, as they write to different
//                quarters of C, then the other four.
//   channel(n)   half the threads' number of producers (one at least) send the numbers below n, as
//                many consumers receive and add them.
//
// Answers are what a program has to come to, worked out in another way. Threads: any. Nothing of
// Plait depends on this.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_PEERS_WORKLOADS_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_PEERS_WORKLOADS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace peers {

// What the comparison runs, and the most that the answers hold.
inline constexpr int kFibSize = 39, kMostFib = 90;
inline constexpr int kSkynetSize = 8, kMostSkynet = 9;
inline constexpr int kNQueensSize = 14, kMostNQueens = 16;
inline constexpr int kMatmulSize = 2048, kMostMatmul = 16384;
inline constexpr int kChannelSize = 10'000'000;
inline constexpr int kChannelCapacity = 1024;

int64_t FibAnswer(int n);
int64_t SkynetAnswer(int levels);
int64_t NQueensAnswer(int n);
// The sum of all of C, each element of which is n.
int64_t MatmulAnswer(int n);
int64_t ChannelAnswer(int n);

// A node of skynet has the leaves from `first` on; its child `i` begins at first + i * step.
inline constexpr int kSkynetChildren = 10;
constexpr int64_t SkynetStep(int levels_below) {
  int64_t step = 1;
  for (int i = 1; i < levels_below; ++i) step *= kSkynetChildren;
  return step;
}

// The column of the queen in each row.
using Board = std::array<char, kMostNQueens>;

// Whether a queen in `row` and `column` is attacked by none in the rows above.
inline bool IsLegal(const Board& board, int row, int column) {
  for (int above = 0; above < row; ++above) {
    const int queen = board[static_cast<size_t>(above)];
    const int distance = row - above;
    if (column == queen || column == queen - distance || column == queen + distance) return false;
  }
  return true;
}

// The columns of `row`, below n, in which that is so; gives how many there are. (A function, also
// where one could write it into a coroutine: g++ keeps a coroutine's variables in its frame.)
inline size_t LegalColumns(const Board& board, int row, int n,
                           std::array<char, kMostNQueens>& columns) {
  size_t legal = 0;
  for (int column = 0; column < n; ++column) {
    if (IsLegal(board, row, column)) columns[legal++] = static_cast<char>(column);
  }
  return legal;
}

// How many producers there are, and how many consumers.
constexpr int ChannelSides(int threads) { return threads < 2 ? 1 : threads / 2; }
// What producer `i` of `sides` sends begins here, and ends where that of the next begins.
constexpr int64_t ChannelBegin(int64_t n, int sides, int i) { return n * i / sides; }

// The side of a block that is multiplied without forks. A size that is a power of two comes to it
// exactly, or is smaller.
inline constexpr int kMatmulBlock = 32;
// C += A B for blocks of n x n, n <= kMatmulBlock, in matrices whose rows are `stride` long.
void MultiplyBlock(const int* a, const int* b, int* c, int n, int stride);

// A, B and C. They lie alike in every program: each begins a cache line, in another part of a page.
// Left to malloc they lie as the program's earlier allocations have it, which makes the same
// instructions a sixth slower in one program than in another; and it keeps them, or not, for the
// next that are made.
class Matrices {
  struct Unmap {
    void operator()(int* memory) const;
    size_t size;
  };
  std::unique_ptr<int, Unmap> memory_;

 public:
  explicit Matrices(int n);
  // The sum of C; -1 when an element of it is not n.
  int64_t Check() const;

  const int n;
  const std::span<int> a, b, c;
};

// The most memory that this process has had, in MiB (VmHWM); 0 where the system does not say.
double PeakMib();
// From now on the most is what it has from now on, where the system can forget (Linux).
void ForgetPeak();

}  // namespace peers

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_PEERS_WORKLOADS_H_
