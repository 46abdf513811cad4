#include "plait/examples/support/flags.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace examples {
namespace {

// As the user typed it, but harmless to a terminal.
std::string Quote(absl::string_view text) {
  return absl::StrCat("\"", absl::Utf8SafeCHexEscape(text), "\"");
}

absl::Status Wrong(absl::string_view value, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(Quote(value), " is not ", expected));
}

// Is this the next flag rather than the value of the last one? "-5" is a value, if perhaps a bad
// one.
bool LooksLikeFlag(absl::string_view argument) { return absl::ConsumePrefix(&argument, "--"); }

}  // namespace

Flags::Flags(absl::string_view program, absl::string_view summary)
    : program_(program), summary_(summary) {}

void Flags::Add(absl::string_view name, absl::string_view value_hint, absl::string_view help,
                absl::string_view default_text,
                std::function<absl::Status(absl::string_view)> set) {
  flags_.push_back({std::string(name), std::string(value_hint), std::string(help),
                    std::string(default_text), std::move(set)});
}

void Flags::Bool(absl::string_view name, bool* value, absl::string_view help) {
  Add(name, "", help, *value ? "true" : "", [value](absl::string_view text) {
    if (text == "true" || text == "1") {
      *value = true;
    } else if (text == "false" || text == "0") {
      *value = false;
    } else {
      return Wrong(text, "true or false");
    }
    return absl::OkStatus();
  });
}

void Flags::Int(absl::string_view name, int64_t* value, int64_t min, int64_t max,
                absl::string_view help) {
  Add(name, "=N", help, absl::StrCat(*value), [value, min, max](absl::string_view text) {
    int64_t number = 0;
    // SimpleAtoi would let spaces pass.
    const bool is_number = text.find_first_not_of("+-0123456789") == absl::string_view::npos &&
                           absl::SimpleAtoi(text, &number);
    if (!is_number || number < min || number > max) {
      return Wrong(text, absl::StrCat("a whole number from ", min, " to ", max));
    }
    *value = number;
    return absl::OkStatus();
  });
}

void Flags::Text(absl::string_view name, std::string* value, absl::string_view help) {
  Add(name, "=TEXT", help, *value, [value](absl::string_view text) {
    *value = std::string(text);
    return absl::OkStatus();
  });
}

void Flags::Choice(absl::string_view name, std::string* value, std::vector<std::string> choices,
                   absl::string_view help) {
  const std::string all = absl::StrJoin(choices, "|");
  Add(name, absl::StrCat("=", all), help, *value,
      [value, choices = std::move(choices)](absl::string_view text) {
        if (std::find(choices.begin(), choices.end(), std::string(text)) == choices.end()) {
          return Wrong(text, absl::StrCat("one of ", absl::StrJoin(choices, ", ")));
        }
        *value = std::string(text);
        return absl::OkStatus();
      });
}

void Flags::Time(absl::string_view name, std::optional<absl::Duration>* value,
                 absl::string_view help) {
  Add(name, "=TIME", help, "", [value](absl::string_view text) {
    absl::Duration duration;
    if (!absl::ParseDuration(text, &duration) || duration < absl::ZeroDuration() ||
        duration == absl::InfiniteDuration()) {
      return Wrong(text, "a length of time such as 200ms, 1.5s or 2m");
    }
    *value = duration;
    return absl::OkStatus();
  });
}

void Flags::Check(std::function<absl::Status()> check) { checks_.push_back(std::move(check)); }

Flags::Flag* Flags::Find(absl::string_view name) {
  for (Flag& flag : flags_) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

absl::Status Flags::ParseAll(const std::vector<absl::string_view>& arguments, bool* help_wanted) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view rest = arguments[i];
    if (rest == "--help" || rest == "-h") {
      *help_wanted = true;
      return absl::OkStatus();
    }
    if (!absl::ConsumePrefix(&rest, "--")) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quote(arguments[i]), " is not a flag, and there is nothing else to give"));
    }
    const size_t equals = rest.find('=');
    const absl::string_view name = rest.substr(0, equals);
    Flag* flag = Find(name);
    if (flag == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no flag ", Quote(absl::StrCat("--", name))));
    }
    absl::string_view value;
    if (equals != absl::string_view::npos) {
      value = rest.substr(equals + 1);
    } else if (flag->value_hint.empty()) {
      value = "true";
    } else if (i + 1 < arguments.size() && !LooksLikeFlag(arguments[i + 1])) {
      value = arguments[++i];
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, " needs a value: --", name, flag->value_hint));
    }
    if (const absl::Status set = flag->set(value); !set.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, ": ", set.message()));
    }
  }
  for (const auto& check : checks_) {
    if (absl::Status checked = check(); !checked.ok()) return checked;
  }
  return absl::OkStatus();
}

std::string Flags::Help() const {
  std::string help = absl::StrCat(summary_, "\n\nUsage: ", program_, " [flags]\n\n");
  for (const Flag& flag : flags_) {
    absl::StrAppend(&help, "  --", flag.name, flag.value_hint, "\n      ", flag.help);
    if (!flag.default_text.empty()) absl::StrAppend(&help, " (default: ", flag.default_text, ")");
    absl::StrAppend(&help, "\n");
  }
  absl::StrAppend(&help, "  --help\n      prints this\n");
  return help;
}

std::optional<int> Flags::Parse(int argc, const char* const* argv) {
  bool help_wanted = false;
  const absl::Status parsed =
      ParseAll(std::vector<absl::string_view>(argv + std::min(argc, 1), argv + argc), &help_wanted);
  if (!parsed.ok()) {
    // What the system refuses is not for --help to explain.
    const char* const hint = absl::IsInvalidArgument(parsed) ? "; --help tells more" : "";
    std::fprintf(stderr, "%s: %s%s.\n", program_.c_str(), std::string(parsed.message()).c_str(),
                 hint);
    return kUsageError;
  }
  if (!help_wanted) return std::nullopt;
  std::fputs(Help().c_str(), stdout);
  return 0;
}

}  // namespace examples
