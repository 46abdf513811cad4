// What the workers of the process pool's tests run. Test-only.
//
// A test and a function in another process meet through files in a folder: `name.began` is there
// once the function has begun, and it ends when `name.go` is there.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_POOL_FUNCTIONS_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_POOL_FUNCTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/worker_context.h"

namespace plait::internal {

int Square(int n);
int Pid();
int Parent();  // the process that has started it
void Nothing();
std::string Echo(const std::string& text);
// A string of that many bytes.
std::string Make(int64_t size);
int64_t Length(absl::string_view text);
// Whether it lies in memory that is shared with the program.
bool IsInSharedMemory(absl::string_view text);
int Sum(const std::vector<int>& all);
absl::StatusOr<int> HalfOf(int n);  // InvalidArgument where it is odd
// Ends the process: "segv", "abort", "exit 3", "kill", "bomb" (allocates much more than
// a limit allows).
int Die(const std::string& how);
// How often it has run in its process.
int CountRuns();
// What its process is like: its niceness, and the most memory of its own that it may have (0: no
// limit).
int Niceness();
uint64_t MemoryLimit();
// How many pages it has had from the system.
int64_t PageFaults();
// Appends a line to a file.
void Note(const std::string& path, const std::string& line);

// Appends its number and its process, and gives the process; the other then dies, see Die.
int NoteNumber(const std::string& path, int number);
int NoteAndDie(const std::string& path, int number, const std::string& how);

// See above. Gives how many lines with `name` the folder's journal had when it began. Stops when it
// is cancelled, and leaves `name.cancelled`; Stubborn does not.
absl::StatusOr<int> WaitAtGate(WorkerContext& context, const std::string& folder,
                               const std::string& name);
absl::StatusOr<int> Stubborn(const std::string& folder, const std::string& name);
// Returns when its process is asked to end (SIGTERM), and does not end it then; leaves
// `name.terminated`.
int UntilTerminated(const std::string& folder, const std::string& name);
// Returns when its process can read a byte from the pipe `folder/name`, and takes no processor time
// until then: that byte.
int AwaitByte(const std::string& folder, const std::string& name);
// Starts another process, which has the outputs of its own and sleeps for ever: its number.
int StartSleeper();
// Dies at its first run, by the journal, and returns how often it has run at others.
int DieAtFirst(const std::string& folder, const std::string& name);

bool Exists(const std::string& path);
void Touch(const std::string& path);
// How many lines of a file are `line`.
int CountLines(const std::string& path, absl::string_view line);

// An environment variable: workers of pools that are made while it is set do not start.
inline constexpr char kInitializerFails[] = "PLAIT_TEST_INITIALIZER_FAILS";
// The same, and they do not end either.
inline constexpr char kInitializerHangs[] = "PLAIT_TEST_INITIALIZER_HANGS";

// The same, a file, to which each adds the line "initialized".
inline constexpr char kInitializerNotes[] = "PLAIT_TEST_INITIALIZER_NOTES";

// The same, and they die, or hang, when they are about to begin a call.
inline constexpr char kDiesBeforeCalls[] = "PLAIT_TEST_DIES_BEFORE_CALLS";
inline constexpr char kHangsBeforeCalls[] = "PLAIT_TEST_HANGS_BEFORE_CALLS";
// The same, and they only take 10 ms before each; kSlowness says whether this processor can have
// it.
inline constexpr char kSlowBeforeCalls[] = "PLAIT_TEST_SLOW_BEFORE_CALLS";
#ifdef __x86_64__
inline constexpr bool kSlowness = true;
#else
inline constexpr bool kSlowness = false;
#endif

// Where shared memory of that name, as in /proc/self/maps, is mapped first; null where it is not.
char* FindMemory(absl::string_view name);

FunctionTable PoolFunctions();

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_POOL_FUNCTIONS_H_
