#include "plait/schedulers/process_pool/pool_functions.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/schedulers/process_pool/pool_system.h"

namespace plait::internal {

int Square(int n) { return n * n; }
int Pid() { return ::getpid(); }
int Parent() { return ::getppid(); }
void Nothing() {}
std::string Echo(const std::string& text) { return text; }
std::string Make(int64_t size) { return std::string(static_cast<size_t>(size), 'm'); }
int64_t Length(absl::string_view text) { return static_cast<int64_t>(text.size()); }

int Sum(const std::vector<int>& all) {
  int sum = 0;
  for (const int n : all) sum += n;
  return sum;
}

absl::StatusOr<int> HalfOf(int n) {
  if (n % 2 != 0) return absl::InvalidArgumentError(absl::StrCat(n, " is odd"));
  return n / 2;
}

int Die(const std::string& how) {
  absl::string_view rest = how;
  if (how == "segv") {
    ::signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler makes an exit of it
    ::raise(SIGSEGV);
  } else if (how == "abort") {
    std::fprintf(stderr, "the last words\n");
    std::abort();
  } else if (absl::ConsumePrefix(&rest, "exit ")) {
    int code = 0;
    PLAIT_CHECK(absl::SimpleAtoi(rest, &code), "how to exit");
    ::_exit(code);
  } else if (how == "bomb") {
    // Bounded, as sanitizers know no limit.
    constexpr size_t kBlock = size_t{1} << 20;
    for (int blocks = 0; blocks < 128; ++blocks) {
      auto* const block = static_cast<volatile char*>(std::malloc(kBlock));
      if (block == nullptr) std::abort();
      for (size_t i = 0; i < kBlock; i += 4'096) block[i] = 1;
    }
  }
  ::raise(SIGKILL);
  return 0;
}

int CountRuns() {
  static int runs = 0;
  return ++runs;
}

int Niceness() { return ::getpriority(PRIO_PROCESS, 0); }

uint64_t MemoryLimit() {
  rlimit limit = {};
  PLAIT_CHECK(::getrlimit(RLIMIT_DATA, &limit) == 0, "getrlimit");
  return limit.rlim_cur == RLIM_INFINITY ? 0 : limit.rlim_cur;
}

int64_t PageFaults() {
  rusage usage = {};
  PLAIT_CHECK(::getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
  return usage.ru_minflt;
}

void Note(const std::string& path, const std::string& line) {
  std::ofstream file(path, std::ios::app);
  // One write: lines of several processes do not mix.
  file << absl::StrCat(line, "\n") << std::flush;
  PLAIT_CHECK(file.good(), "the journal cannot be written");
}

int NoteNumber(const std::string& path, int number) {
  const int pid = ::getpid();
  // A process that is killed while it writes across the end of a page leaves a part of this, which
  // then is a line of its own, and has no end.
  Note(path, absl::StrCat("\n", number, " ", pid, " ."));
  return pid;
}

int NoteAndDie(const std::string& path, int number, const std::string& how) {
  NoteNumber(path, number);
  return Die(how);
}

bool Exists(const std::string& path) { return std::filesystem::exists(path); }

void Touch(const std::string& path) {
  const std::ofstream file(path);
  PLAIT_CHECK(file.good(), "a file cannot be made");
}

int CountLines(const std::string& path, absl::string_view line) {
  std::ifstream file(path);
  int count = 0;
  for (std::string read; std::getline(file, read);) count += read == line ? 1 : 0;
  return count;
}

namespace {

absl::StatusOr<int> RunGate(WorkerContext* context, const std::string& folder,
                            const std::string& name) {
  const std::string journal = absl::StrCat(folder, "/journal");
  const int before = CountLines(journal, name);
  Note(journal, name);
  const std::string path = absl::StrCat(folder, "/", name);
  Touch(path + ".began");
  for (int round = 0; !Exists(path + ".go"); ++round) {
    if (context != nullptr && context->cancelled()) {
      Touch(path + ".cancelled");
      return absl::CancelledError("the function has seen it");
    }
    SpinWait(round);
  }
  return before;
}

}  // namespace

absl::StatusOr<int> WaitAtGate(WorkerContext& context, const std::string& folder,
                               const std::string& name) {
  return RunGate(&context, folder, name);
}

absl::StatusOr<int> Stubborn(const std::string& folder, const std::string& name) {
  return RunGate(nullptr, folder, name);
}

int UntilTerminated(const std::string& folder, const std::string& name) {
  // No handler: ThreadSanitizer calls one only when the thread calls what it knows.
  sigset_t terminate;
  ::sigemptyset(&terminate);
  ::sigaddset(&terminate, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &terminate, nullptr);
  Touch(absl::StrCat(folder, "/", name, ".began"));
  int signal = 0;
  while (::sigwait(&terminate, &signal) != 0) continue;
  Touch(absl::StrCat(folder, "/", name, ".terminated"));
  return 0;
}

int AwaitByte(const std::string& folder, const std::string& name) {
  const std::string path = absl::StrCat(folder, "/", name);
  std::ifstream pipe(path);
  Touch(path + ".began");
  return pipe.get();
}

int StartSleeper() {
  const int pid = ::fork();
  while (pid == 0) ::pause();
  return pid;
}

int DieAtFirst(const std::string& folder, const std::string& name) {
  const std::string journal = absl::StrCat(folder, "/journal");
  const int before = CountLines(journal, name);
  Note(journal, name);
  if (before == 0) Die("kill");
  return before;
}

char* FindMemory(absl::string_view name) {
  // "7f..0-7f..8 rw-s 00000000 00:01 1234    /memfd:name (deleted)"
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0;
    if (absl::StrContains(line, name) && absl::StrContains(line, " 00000000 ") &&
        absl::SimpleHexAtoi(line.substr(0, line.find('-')), &begin)) {
      // The system names addresses in text.
      return reinterpret_cast<char*>(begin);
    }
  }
  return nullptr;
}

bool IsInSharedMemory(absl::string_view text) {
  std::ifstream maps("/proc/self/maps");
  // A number, as the mappings are.
  const auto at = reinterpret_cast<uintptr_t>(text.data());
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2) continue;
    if (begin <= at && at < end) return absl::StrContains(line, "memfd:plait-payload");
  }
  return false;
}

namespace {

// From here on the process faults where it says that it begins a call: there it cannot write.
void FaultBeforeCalls(void (*handler)(int)) {
  char* const board = FindMemory("plait-payload");
  PLAIT_CHECK(board != nullptr && ::mprotect(board, 1, PROT_READ) == 0, "the call board");
  ::signal(SIGSEGV, handler);
}

#ifdef __x86_64__

constexpr greg_t kSingleStep = 0x100;  // the processor's trap flag

void SetSignalHandler(int signal, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(signal, &action, nullptr);
}

// From here on the process needs 10 ms to say that it begins a call: at the fault it sleeps, then
// may write for one instruction.
void BeSlowBeforeCalls() {
  static char* board = nullptr;
  FaultBeforeCalls(SIG_DFL);
  board = FindMemory("plait-payload");
  SetSignalHandler(SIGSEGV, [](int, siginfo_t*, void* context) {
    Atomic<uint32_t> never{0};
    pool_system::FutexWait(never, 0, 10'000'000);
    ::mprotect(board, 1, PROT_READ | PROT_WRITE);
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= kSingleStep;
  });
  SetSignalHandler(SIGTRAP, [](int, siginfo_t*, void* context) {
    ::mprotect(board, 1, PROT_READ);
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~kSingleStep;
  });
}

#else

void BeSlowBeforeCalls() {}

#endif

}  // namespace

FunctionTable PoolFunctions() {
  FunctionTable table;
  table.Add("square", &Square)
      .Add("pid", &Pid)
      .Add("parent", &Parent)
      .Add("nothing", &Nothing)
      .Add("echo", &Echo)
      .Add("make", &Make)
      .Add("length", &Length)
      .Add("is_in_shared_memory", &IsInSharedMemory)
      .Add("sum", &Sum)
      .Add("half_of", &HalfOf)
      .Add("die", &Die)
      .Add("count_runs", &CountRuns)
      .Add("niceness", &Niceness)
      .Add("memory_limit", &MemoryLimit)
      .Add("page_faults", &PageFaults)
      .Add("note", &Note)
      .Add("note_number", &NoteNumber)
      .Add("note_and_die", &NoteAndDie)
      .Add("gate", &WaitAtGate)
      .Add("stubborn", &Stubborn)
      .Add("until_terminated", &UntilTerminated)
      .Add("await_byte", &AwaitByte)
      .Add("start_sleeper", &StartSleeper)
      .Add("die_at_first", &DieAtFirst);
  table.SetInitializer([] {
    if (const char* const path = std::getenv(kInitializerNotes)) Note(path, "initialized");
    while (std::getenv(kInitializerHangs) != nullptr) ::pause();
    if (std::getenv(kDiesBeforeCalls) != nullptr) FaultBeforeCalls(SIG_DFL);
    if (std::getenv(kHangsBeforeCalls) != nullptr) {
      FaultBeforeCalls([](int) {
        for (;;) ::pause();
      });
    }
    if (std::getenv(kSlowBeforeCalls) != nullptr) BeSlowBeforeCalls();
    return std::getenv(kInitializerFails) == nullptr ? absl::OkStatus()
                                                     : absl::NotFoundError("no model");
  });
  return table;
}

}  // namespace plait::internal
