// Flags: the command line of an example.
//
//   int64_t items = 500000;
//   examples::Flags flags("queue_throughput", "Two producers and a consumer share a queue.");
//   flags.Int("items", &items, 0, 1000000000, "how many items go through the queue");
//   if (std::optional<int> status = flags.Parse(argc, argv)) return *status;
//
// Takes --name=value and --name value; a flag given twice has its last value. --help prints the
// flags to standard output. Anything it does not understand is refused with one sentence on
// standard error and exit status 2.
#ifndef PLAIT_EXAMPLES_SUPPORT_FLAGS_H_
#define PLAIT_EXAMPLES_SUPPORT_FLAGS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace examples {

// The exit status of a program that was called in the wrong way.
inline constexpr int kUsageError = 2;

class Flags {
 public:
  // `summary`: a sentence or more for --help.
  Flags(absl::string_view program, absl::string_view summary);

  // What each adds is --name. The value that is there already is the default, which --help shows;
  // it must outlive Parse.
  void Bool(absl::string_view name, bool* value, absl::string_view help);
  // A whole number from `min` to `max`.
  void Int(absl::string_view name, int64_t* value, int64_t min, int64_t max,
           absl::string_view help);
  void Text(absl::string_view name, std::string* value, absl::string_view help);
  // One of `choices`.
  void Choice(absl::string_view name, std::string* value, std::vector<std::string> choices,
              absl::string_view help);
  // A length of time such as 200ms: not negative and not infinite. Stays empty when the flag is not
  // given; what then holds is for `help` to say.
  void Time(absl::string_view name, std::optional<absl::Duration>* value, absl::string_view help);

  // Runs once every flag was understood. An error refuses the command line with its message.
  void Check(std::function<absl::Status()> check);

  // Sets the values. An exit status when the program should end now: 0 after --help, kUsageError
  // after a refusal.
  [[nodiscard]] std::optional<int> Parse(int argc, const char* const* argv);

 private:
  struct Flag {
    std::string name;
    std::string value_hint;  // "=N", say; empty for a Bool
    std::string help;
    std::string default_text;
    // Takes the value, or says what it should have been.
    std::function<absl::Status(absl::string_view)> set;
  };

  void Add(absl::string_view name, absl::string_view value_hint, absl::string_view help,
           absl::string_view default_text, std::function<absl::Status(absl::string_view)> set);
  Flag* Find(absl::string_view name);
  absl::Status ParseAll(const std::vector<absl::string_view>& arguments, bool* help_wanted);
  std::string Help() const;

  std::string program_;
  std::string summary_;
  std::vector<Flag> flags_;
  std::vector<std::function<absl::Status()>> checks_;
};

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUPPORT_FLAGS_H_
