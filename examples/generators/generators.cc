// generators: functions that give one value after another, as many as somebody asks for.
//
// A Generator computes each value when the loop comes to it; an AsyncGenerator may wait for it, and
// others run meanwhile. Both end, with everything that they hold, when the loop is left.
#include <cstdint>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"

namespace {

using examples::Color;
using examples::Console;

void Title(Console& console, const std::string& title) {
  console.Print();
  console.Print(title, Color::kBold);
}

// Says when it goes: what a generator holds goes with it.
class Guest {
 public:
  Guest(Console& console, std::string name) : console_(console), name_(std::move(name)) {}
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
  ~Guest() { console_.Print(absl::StrCat("  (", name_, " is gone)"), Color::kDim); }

 private:
  Console& console_;
  const std::string name_;
};

// Without an end: whoever asks decides how many there are.
plait::Generator<int64_t> Fibonacci(Console& console) {
  Guest guest(console, "the Fibonacci generator");
  for (int64_t a = 0, b = 1;; b += std::exchange(a, b)) co_yield a;
}

void ShowFibonacci(Console& console, int64_t below) {
  Title(console, absl::StrCat("Infinite: the Fibonacci numbers below ", below));
  std::string line = " ";
  for (const int64_t n : Fibonacci(console)) {
    if (n >= below) {
      console.Print(line);
      break;
    }
    absl::StrAppend(&line, " ", n);
  }

  Title(console, "A range like any other: the first five even ones");
  auto even = [](int64_t n) { return n % 2 == 0; };
  auto five = Fibonacci(console) | std::views::filter(even) | std::views::take(5);
  line = " ";
  for (const int64_t n : five) absl::StrAppend(&line, " ", n);
  console.Print(line);
}

struct Tree {
  std::string name;
  std::unique_ptr<Tree> left;
  std::unique_ptr<Tree> right;
};

std::unique_ptr<Tree> MakeTree(std::string name, std::unique_ptr<Tree> left = nullptr,
                               std::unique_ptr<Tree> right = nullptr) {
  auto tree = std::make_unique<Tree>();
  tree->name = std::move(name);
  tree->left = std::move(left);
  tree->right = std::move(right);
  return tree;
}

// Recursive: ElementsOf gives everything that another generator gives.
plait::Generator<const std::string&> InOrder(const Tree* tree) {
  if (tree == nullptr) co_return;
  co_yield plait::ElementsOf(InOrder(tree->left.get()));
  co_yield tree->name;
  co_yield plait::ElementsOf(InOrder(tree->right.get()));
}

void ShowTree(Console& console) {
  Title(console, "Recursive: a tree in order");
  const auto tree = MakeTree("Eevee", MakeTree("Bulbasaur", nullptr, MakeTree("Charmander")),
                             MakeTree("Mew", MakeTree("Jigglypuff"), MakeTree("Snorlax")));
  std::string line = " ";
  for (const std::string& name : InOrder(tree.get())) absl::StrAppend(&line, " ", name);
  console.Print(line);
}

// Each one takes a while to come; whoever waits for it lets others run.
plait::AsyncGenerator<std::string> Pokemon(Console& console, absl::Duration pace) {
  Guest guest(console, "the Pokemon generator");
  for (const std::string name : {"Bulbasaur", "Charmander", "Squirtle", "Pikachu", "Mew"}) {
    if (!(co_await plait::Sleep(pace)).ok()) co_return;  // cancelled
    co_yield name;
  }
}

// Something else that goes on at the same time.
plait::Task<absl::Status> Tick(Console& console, absl::Duration pace) {
  for (int n = 1;; ++n) {
    co_await plait::OrReturn(plait::Sleep(pace));
    console.Print(absl::StrCat("    tick ", n), Color::kDim);
  }
}

plait::Task<absl::Status> ShowPokemon(Console& console, absl::Duration pace) {
  Title(console, "Asynchronous: each takes a while, and a clock ticks meanwhile");
  plait::JoinHandle<absl::Status> ticking = plait::Spawn(Tick(console, pace / 2));
  auto pokemon = Pokemon(console, pace);
  while (auto name = co_await pokemon.Next())
    console.Print(absl::StrCat("  ", *name), Color::kCyan);
  ticking.Cancel();
  static_cast<void>(co_await ticking);

  Title(console, "Left early: what the generator holds goes with it");
  {
    auto some = Pokemon(console, pace);
    while (auto name = co_await some.Next()) {
      console.Print(absl::StrCat("  ", *name), Color::kCyan);
      if (*name == "Charmander") break;
    }
    console.Print("  that is enough");
  }
  co_return absl::OkStatus();
}

// A generator whose cleanup must wait looks at what co_yield gives: false when it is closed.
plait::AsyncGenerator<int> Rows(Console& console, absl::Duration pace) {
  console.Print("  the table is open");
  for (int row = 1;; ++row) {
    if (!(co_yield row)) break;
  }
  console.Print("  closing the table takes a while ...");
  const absl::Status closed = co_await plait::Uncancellable(plait::Sleep(pace));
  console.Print(absl::StrCat("  the table is closed: ", closed.ToString()));
}

plait::Task<absl::Status> ShowRows(Console& console, absl::Duration pace) {
  Title(console, "Cleanup that waits: WithAsync closes the generator, and waits for that");
  const absl::Status status = co_await plait::WithAsync(
      Rows(console, pace), [&](plait::AsyncGenerator<int>& rows) -> plait::Task<absl::Status> {
        while (auto row = co_await rows.Next()) {
          console.Print(absl::StrCat("  row ", *row), Color::kCyan);
          if (*row == 3) co_return absl::DataLossError("row 3 cannot be read");
        }
        co_return absl::OkStatus();
      });
  console.Print(absl::StrCat("  WithAsync -> ", status.ToString()));
  co_return absl::OkStatus();
}

plait::Task<absl::Status> Main(Console& console, int64_t below, absl::Duration pace) {
  ShowFibonacci(console, below);
  ShowTree(console);
  co_await plait::OrReturn(ShowPokemon(console, pace));
  co_return co_await ShowRows(console, pace);
}

}  // namespace

int main(int argc, char** argv) {
  int64_t below = 100;
  std::optional<absl::Duration> pace;
  plait::RunOptions options;
  examples::Flags flags("generators",
                        "Functions that give one value after another, as many as are asked for.");
  flags.Int("below", &below, 0, int64_t{1} << 60, "show the Fibonacci numbers below this");
  flags.Time("pace", &pace, "how long an asynchronous value takes (default 40ms)");
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  Console console;
  const absl::Status status =
      plait::Run(Main(console, below, pace.value_or(absl::Milliseconds(40))), options);
  console.Print();
  console.Print(absl::StrCat("Run -> ", status.ToString()));
  return status.ok() ? 0 : 1;
}
