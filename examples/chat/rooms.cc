#include "plait/examples/chat/rooms.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

namespace examples {
namespace {

using plait::OrReturn;

constexpr size_t kMaxLine = 4096;
constexpr size_t kMaxName = 24;
// How long a guest who reads nothing may keep its farewell waiting.
constexpr absl::Duration kFarewell = absl::Seconds(2);

bool IsName(absl::string_view text) {
  if (text.empty() || text.size() > kMaxName) return false;
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '-') return false;
  }
  return true;
}

// Telnet and its like end a line with "\r\n"; what else cannot be printed would upset terminals.
std::string Tidy(absl::string_view line) {
  std::string tidy(absl::StripSuffix(line, "\r"));
  for (char& c : tidy) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\t') c = '?';
  }
  return tidy;
}

}  // namespace

class Rooms::Guest {
 public:
  Guest(std::string name, size_t patience) : name_(std::move(name)), waiting_(patience) {}

  const std::string& name() const { return name_; }
  const std::string& room() const { return room_; }
  void set_room(std::string room) { room_ = std::move(room); }

  // Never waits.
  void Hear(const Line& line) {
    if (!waiting_.TryPut(line).ok()) ++missed_;
  }
  void Hear(std::string line) { Hear(std::make_shared<const std::string>(std::move(line))); }
  // What is there to send is sent, and nothing after it.
  void Dismiss() { waiting_.Close(); }

  // co_await: all that waits, as one piece of text; empty when there will be no more.
  plait::Task<absl::StatusOr<std::string>> Next() {
    absl::StatusOr<Line> line = co_await waiting_.Get();
    std::string text;
    for (; line.ok(); line = waiting_.TryGet()) absl::StrAppend(&text, **line, "\n");
    if (text.empty() && absl::IsCancelled(line.status())) co_return line.status();
    if (missed_ > 0 && !text.empty()) {
      absl::StrAppend(&text, "* you missed ", missed_, " lines, as you read too slowly\n");
      missed_ = 0;
    }
    co_return text;
  }

 private:
  const std::string name_;
  std::string room_;
  plait::Queue<Line> waiting_;
  int64_t missed_ = 0;
};

plait::Task<absl::Status> Rooms::Receive(plait::Stream stream) {
  std::string name;
  co_await OrReturn(AskName(stream, &name));
  Guest guest(name, patience_);
  present_[name] = &guest;
  ++guests_;
  Enter(guest, "lobby");
  auto converse = [&](plait::TaskGroup& group) -> plait::Task<absl::Status> {
    group.Spawn(SendLines(stream, guest), {.name = "sends"});
    absl::Status ended = co_await ReadLines(stream, guest);
    guest.Dismiss();
    co_return ended;
  };
  const absl::Status ended = co_await plait::WithTaskGroup(std::move(converse));
  Leave(guest);
  present_.erase(name);
  if (!ended.ok()) co_return ended;
  co_return co_await plait::Timeout(kFarewell, stream.Close());
}

plait::Task<absl::Status> Rooms::AskName(plait::Stream& stream, std::string* name) {
  co_await OrReturn(stream.Write("* your name?\n"));
  for (;;) {
    const std::string line = co_await OrReturn(stream.ReadLine(kMaxLine));
    *name = Tidy(line);
    if (!IsName(*name)) {
      co_await OrReturn(stream.Write("* a name has letters, digits, - and _, at most 24\n"));
    } else if (present_.count(*name) > 0) {
      co_await OrReturn(stream.Write(absl::StrCat("* ", *name, " is here already\n")));
    } else {
      co_return absl::OkStatus();
    }
  }
}

plait::Task<absl::Status> Rooms::SendLines(plait::Stream& stream, Guest& guest) {
  for (;;) {
    const std::string text = co_await OrReturn(guest.Next());
    if (text.empty()) co_return absl::OkStatus();
    co_await OrReturn(stream.Write(text));
  }
}

plait::Task<absl::Status> Rooms::ReadLines(plait::Stream& stream, Guest& guest) {
  for (;;) {
    const absl::StatusOr<std::string> line = co_await stream.ReadLine(kMaxLine);
    if (absl::IsOutOfRange(line.status())) co_return absl::OkStatus();  // the end
    if (absl::IsResourceExhausted(line.status())) {
      guest.Hear("* that line is too long; good bye");
      co_return absl::OkStatus();
    }
    if (!line.ok()) co_return line.status();
    const std::string text = Tidy(*line);
    if (absl::StartsWith(text, "/")) {
      if (!Obey(text, guest)) co_return absl::OkStatus();
    } else if (!text.empty()) {
      ++lines_;
      Tell(guest, absl::StrCat(guest.name(), ": ", text));
    }
  }
}

bool Rooms::Obey(absl::string_view command, Guest& guest) {
  if (command == "/quit") {
    guest.Hear("* good bye");
    return false;
  }
  if (command == "/who") {
    guest.Hear(WhoIsHere(guest));
  } else if (absl::ConsumePrefix(&command, "/join ") && IsName(command)) {
    Leave(guest);
    Enter(guest, std::string(command));
  } else {
    guest.Hear("* /join ROOM, /who or /quit");
  }
  return true;
}

void Rooms::Enter(Guest& guest, std::string room) {
  guest.set_room(std::move(room));
  guest.Hear(WhoIsHere(guest));
  Tell(guest, absl::StrCat("* ", guest.name(), " has come"));
}

void Rooms::Leave(Guest& guest) { Tell(guest, absl::StrCat("* ", guest.name(), " has gone")); }

void Rooms::Tell(const Guest& from, std::string line) {
  const Line shared = std::make_shared<const std::string>(std::move(line));
  for (const auto& [name, guest] : present_) {
    if (guest != &from && guest->room() == from.room()) guest->Hear(shared);
  }
}

std::string Rooms::WhoIsHere(const Guest& asking) const {
  std::string text = absl::StrCat("* in ", asking.room(), ":");
  for (const auto& [name, guest] : present_) {
    if (guest->room() == asking.room()) absl::StrAppend(&text, " ", name);
  }
  return text;
}

}  // namespace examples
