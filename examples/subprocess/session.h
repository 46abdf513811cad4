// What the parts of this example share: where they say what happens, and when it did.
#ifndef PLAIT_EXAMPLES_SUBPROCESS_SESSION_H_
#define PLAIT_EXAMPLES_SUBPROCESS_SESSION_H_

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/timing.h"

namespace examples {

// All tasks of the program are on one thread, so what it is told is in order.
class Session {
 public:
  explicit Session(Console& console) : console_(console) {}

  void Title(absl::string_view text) { console_.Print(text, Color::kBold); }
  void Say(absl::string_view text, Color color = Color::kPlain) {
    console_.Print(absl::StrCat(" ", Stamp(watch_.elapsed()), " ", text), color);
  }
  absl::Duration elapsed() const { return watch_.elapsed(); }

 private:
  Console& console_;
  const Stopwatch watch_;
};

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUBPROCESS_SESSION_H_
