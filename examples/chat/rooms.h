// The rooms of a chat, and the people in them.
//
// Each guest is two tasks: one reads what the guest types, one sends what the others said. Between
// them is a queue of bounded length, into which a line is put only if there is room: who reads too
// slowly misses lines, and is told how many, but keeps nobody waiting.
//
// What a guest types: first a name; then lines for everybody else in the room, or
//   /join ROOM   goes to another room; everybody begins in "lobby"
//   /who         who is here
//   /quit        ends the connection, as the end of the input does
#ifndef PLAIT_EXAMPLES_CHAT_ROOMS_H_
#define PLAIT_EXAMPLES_CHAT_ROOMS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "plait/io/net/net.h"
#include "plait/runtime/runtime.h"

namespace examples {

class Rooms {
 public:
  // `patience`: how many lines may wait for a guest who reads slowly.
  explicit Rooms(size_t patience) : patience_(patience) {}
  Rooms(const Rooms&) = delete;
  Rooms& operator=(const Rooms&) = delete;

  // co_await: the guest at the other end of `stream`, from the name to the farewell.
  plait::Task<absl::Status> Receive(plait::Stream stream);

  int64_t guests() const { return guests_; }  // that there have been
  int64_t lines() const { return lines_; }    // that were said

 private:
  // One line, whoever reads it.
  using Line = std::shared_ptr<const std::string>;
  class Guest;

  plait::Task<absl::Status> AskName(plait::Stream& stream, std::string* name);
  static plait::Task<absl::Status> SendLines(plait::Stream& stream, Guest& guest);
  plait::Task<absl::Status> ReadLines(plait::Stream& stream, Guest& guest);
  // False when the guest leaves.
  bool Obey(absl::string_view command, Guest& guest);

  void Enter(Guest& guest, std::string room);
  void Leave(Guest& guest);
  // To everybody in the room but `from`.
  void Tell(const Guest& from, std::string line);
  std::string WhoIsHere(const Guest& asking) const;

  const size_t patience_;
  // Guests by name; they live in their tasks' frames. One thread has all of this.
  std::map<std::string, Guest*> present_;
  int64_t guests_ = 0;
  int64_t lines_ = 0;
};

}  // namespace examples

#endif  // PLAIT_EXAMPLES_CHAT_ROOMS_H_
