// ExitStatus: how a process ended: by itself, with a code, or by a signal.
#ifndef PLAIT_IO_PROCESS_EXIT_STATUS_H_
#define PLAIT_IO_PROCESS_EXIT_STATUS_H_

#include <ostream>
#include <string>

namespace plait {

class ExitStatus {
 public:
  // Code 0, which says that all went well.
  constexpr ExitStatus() = default;
  static constexpr ExitStatus Exited(int code) { return ExitStatus(code, 0, false); }
  static constexpr ExitStatus Signalled(int signal, bool core_dumped = false) {
    return ExitStatus(-1, signal, core_dumped);
  }

  // It ended by itself, with code 0.
  constexpr bool ok() const { return signal_ == 0 && code_ == 0; }
  // It ended by itself.
  constexpr bool exited() const { return signal_ == 0; }
  // What it gave to exit, 0 to 255; -1 where a signal ended it.
  constexpr int code() const { return code_; }
  // The signal that ended it, SIGKILL say; 0 where none did.
  constexpr int signal() const { return signal_; }
  constexpr bool core_dumped() const { return core_dumped_; }

  // "exit status 3", "killed by SIGKILL".
  std::string ToString() const;

  friend constexpr bool operator==(const ExitStatus&, const ExitStatus&) = default;
  friend std::ostream& operator<<(std::ostream& out, const ExitStatus& status) {
    return out << status.ToString();
  }

 private:
  constexpr ExitStatus(int code, int signal, bool core_dumped)
      : code_(code), signal_(signal), core_dumped_(core_dumped) {}

  int code_ = 0;
  int signal_ = 0;
  bool core_dumped_ = false;
};

}  // namespace plait

#endif  // PLAIT_IO_PROCESS_EXIT_STATUS_H_
