// ProcessOptions: what to start, and how.
#ifndef PLAIT_IO_PROCESS_PROCESS_OPTIONS_H_
#define PLAIT_IO_PROCESS_PROCESS_OPTIONS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace plait {

// What one of a process's three standard descriptors is.
class Stdio {
 public:
  enum class Kind : uint8_t { kInherit, kNull, kPipe, kDescriptor, kToOutput };

  // The parent's own.
  static constexpr Stdio Inherit() { return Stdio(Kind::kInherit, -1); }
  // /dev/null.
  static constexpr Stdio Null() { return Stdio(Kind::kNull, -1); }
  // A pipe, whose other end is Process::input(), output() or error().
  static constexpr Stdio Pipe() { return Stdio(Kind::kPipe, -1); }
  // A copy of `fd`, which stays the caller's and is only needed until Start has returned. One that
  // does not block will not block in the child either, which few programs expect.
  static constexpr Stdio Descriptor(int fd) { return Stdio(Kind::kDescriptor, fd); }
  // For `error` only: wherever the standard output goes.
  static constexpr Stdio ToOutput() { return Stdio(Kind::kToOutput, -1); }

  constexpr Kind kind() const { return kind_; }
  constexpr int descriptor() const { return descriptor_; }

 private:
  constexpr Stdio(Kind kind, int descriptor) : kind_(kind), descriptor_(descriptor) {}

  Kind kind_;
  int descriptor_;
};

struct ProcessOptions {
  enum class Group : uint8_t {
    kInherit,
    // A process group of its own: a ^C at the terminal does not reach it, and SignalGroup, Kill and
    // the drop reach those that it starts; also when it has ended before them, until Wait or
    // exit_status has said so, as from then on its number may be another group's.
    kNew,
    // A session of its own, without a terminal; a new group as well.
    kNewSession,
  };

  // The command and what it is given. A command without a slash is searched for in the PATH of this
  // process; one that has a slash and does not begin with one is looked for from
  // `working_directory`.
  std::vector<std::string> arguments;

  // Whether it has the variables of this process, those set here excepted.
  bool inherit_environment = true;
  // Variables that are set, each a name and a value; of two with one name the last holds.
  std::vector<std::pair<std::string, std::string>> environment;
  // Names of variables that are not inherited.
  std::vector<std::string> unset_environment;

  // Where it starts; empty for the working directory of this process.
  std::string working_directory;

  Stdio input = Stdio::Inherit();
  Stdio output = Stdio::Inherit();
  Stdio error = Stdio::Inherit();
  // Further descriptors that it has, as 3, 4, 5 and so on; copies, as with Stdio::Descriptor. No
  // others of this process reach it.
  std::vector<int> descriptors;

  Group group = Group::kInherit;

  // Kills it when the Process is dropped before it has ended, or before anybody knew that; to its
  // whole group where it has one of its own. Otherwise it is left to run.
  bool kill_on_drop = true;
};

}  // namespace plait

#endif  // PLAIT_IO_PROCESS_PROCESS_OPTIONS_H_
