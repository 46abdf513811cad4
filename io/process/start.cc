#include "plait/io/process/start.h"

#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/process_calls.h"
#include "plait/io/system/system_calls.h"

namespace plait::internal {
namespace {

constexpr const char* kStandardNames[] = {"standard input", "standard output", "standard error"};

// "start "cat"".
std::string What(const ProcessOptions& options) {
  return absl::StrCat("start \"", options.arguments.empty() ? "" : options.arguments.front(), "\"");
}

bool HasNul(absl::string_view text) { return text.find('\0') != absl::string_view::npos; }

bool IsVariableName(absl::string_view name) {
  return !name.empty() && name.find('=') == absl::string_view::npos && !HasNul(name);
}

// Why `options` cannot be meant; null when they can.
const char* Mistake(const ProcessOptions& options) {
  if (options.arguments.empty()) return "there is no command";
  if (options.arguments.front().empty()) return "the command is empty";
  for (const std::string& argument : options.arguments) {
    if (HasNul(argument)) return "an argument has a NUL character in it";
  }
  for (const auto& [name, value] : options.environment) {
    if (!IsVariableName(name)) return "a variable's name is empty, or has a = or a NUL in it";
    if (HasNul(value)) return "a variable's value has a NUL character in it";
  }
  if (HasNul(options.working_directory)) return "the working directory has a NUL character in it";
  if (options.input.kind() == Stdio::Kind::kToOutput ||
      options.output.kind() == Stdio::Kind::kToOutput) {
    return "Stdio::ToOutput is for the standard error";
  }
  return nullptr;
}

// "NAME=value" each.
std::vector<std::string> Environment(const ProcessOptions& options) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; options.inherit_environment && entry && *entry; ++entry) {
    const std::string text(*entry);
    const size_t equals = text.find('=');
    // The first of a name is the one that getenv finds.
    if (equals != std::string::npos) {
      variables.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  for (const std::string& name : options.unset_environment) variables.erase(name);
  for (const auto& [name, value] : options.environment) variables[name] = value;
  std::vector<std::string> environment;
  environment.reserve(variables.size());
  for (const auto& [name, value] : variables) {
    environment.push_back(absl::StrCat(name, "=", value));
  }
  return environment;
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Descriptors of ours that are needed until the child has its copies. No reactor knows them, so
// they are closed at once: the child's end of a pipe must not stay open here.
class Descriptors {
 public:
  explicit Descriptors(const ProcessOptions& options)
      : options_(options), count_(3 + static_cast<int>(options.descriptors.size())) {}
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;
  ~Descriptors() {
    for (const int fd : owned_) sys::Calls().Close(fd);
  }

  absl::Status Open(StartedProcess& started) {
    if (!options_.working_directory.empty()) {
      directory_ = Own(
          sys::Calls().Open(AT_FDCWD, options_.working_directory.c_str(), O_PATH | O_DIRECTORY, 0));
      if (directory_ < 0) {
        return Error(directory_,
                     absl::StrCat("working directory \"", options_.working_directory, "\""));
      }
    }
    const Stdio standard[] = {options_.input, options_.output, options_.error};
    for (int n = 0; n < 3; ++n) {
      if (absl::Status status = OpenStandard(n, standard[n], started.pipes[n]); !status.ok()) {
        return status;
      }
    }
    for (const int fd : options_.descriptors) {
      if (absl::Status status = AddCopy(fd, absl::StrCat("descriptor ", fd)); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  void Fill(sys::SpawnRequest& request) const {
    request.directory = directory_;
    request.descriptors = sources_.data();
    request.descriptor_count = count_;
  }

 private:
  absl::Status Error(int negative_errno, absl::string_view subject) const {
    return ErrnoToStatus(negative_errno, absl::StrCat(What(options_), ": ", subject));
  }
  int Own(int fd) {
    if (fd >= 0) owned_.push_back(fd);
    return fd;
  }
  // A source lies above all of the child's numbers, so that none is overwritten before it is used.
  absl::Status AddCopy(int fd, absl::string_view subject) {
    const int copy = Own(sys::Calls().Duplicate(fd, count_));
    if (copy < 0) return Error(copy, subject);
    sources_.push_back(copy);
    return absl::OkStatus();
  }
  absl::Status OpenStandard(int n, Stdio stdio, io::OwnedDescriptor& ours);
  absl::Status OpenPipe(int n, io::OwnedDescriptor& ours);

  const ProcessOptions& options_;
  const int count_;  // how many descriptors the child has
  int directory_ = -1;
  std::vector<int> sources_;
  std::vector<int> owned_;
};

absl::Status Descriptors::OpenStandard(int n, Stdio stdio, io::OwnedDescriptor& ours) {
  switch (stdio.kind()) {
    case Stdio::Kind::kInherit:
      sources_.push_back(-1);
      return absl::OkStatus();
    case Stdio::Kind::kNull: {
      const int null = Own(sys::Calls().Open(AT_FDCWD, "/dev/null", O_RDWR, 0));
      if (null < 0) return Error(null, "/dev/null");
      return AddCopy(null, kStandardNames[n]);
    }
    case Stdio::Kind::kPipe:
      return OpenPipe(n, ours);
    case Stdio::Kind::kDescriptor:
      return AddCopy(stdio.descriptor(), absl::StrCat("descriptor ", stdio.descriptor(),
                                                      " for the ", kStandardNames[n]));
    case Stdio::Kind::kToOutput:
      return AddCopy(sources_[1] >= 0 ? sources_[1] : 1, kStandardNames[n]);
  }
  return absl::OkStatus();
}

absl::Status Descriptors::OpenPipe(int n, io::OwnedDescriptor& ours) {
  int ends[2];
  const int piped = sys::Calls().Pipe(ends);
  if (piped < 0) return Error(piped, absl::StrCat("a pipe for the ", kStandardNames[n]));
  const bool child_reads = n == 0;
  const int theirs = Own(ends[child_reads ? 0 : 1]);
  ours = io::OwnedDescriptor(ends[child_reads ? 1 : 0]);
  // Few programs expect standard descriptors that do not block.
  if (const int set = sys::Calls().SetBlocking(theirs); set < 0) {
    return Error(set, kStandardNames[n]);
  }
  return AddCopy(theirs, kStandardNames[n]);
}

}  // namespace

absl::StatusOr<StartedProcess> StartProcess(const ProcessOptions& options) {
  if (const char* mistake = Mistake(options)) {
    return absl::InvalidArgumentError(absl::StrCat(What(options), ": ", mistake));
  }
  ReapOrphans();
  StartedProcess started;
  Descriptors descriptors(options);
  if (absl::Status opened = descriptors.Open(started); !opened.ok()) return opened;

  const std::vector<char*> arguments = Pointers(options.arguments);
  const std::vector<std::string> environment = Environment(options);
  const std::vector<char*> variables = Pointers(environment);
  sys::SpawnRequest request{.path = options.arguments.front().c_str(),
                            .arguments = arguments.data(),
                            .environment = variables.data()};
  descriptors.Fill(request);
  request.new_group = options.group == ProcessOptions::Group::kNew;
  request.new_session = options.group == ProcessOptions::Group::kNewSession;
  const int pid = sys::Calls().Spawn(request);
  if (pid < 0) return ErrnoToStatus(pid, What(options));
  // Without one (an old system, a sandbox, too many open files) we do with the number.
  const int pidfd = sys::Calls().OpenProcess(pid);
  started.state = std::make_shared<ProcessState>(pid, pidfd < 0 ? -1 : pidfd,
                                                 options.group != ProcessOptions::Group::kInherit,
                                                 options.arguments.front());
  return started;
}

}  // namespace plait::internal
