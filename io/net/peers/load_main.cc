// load: asks an echo server for all that it can give, and says how fast it was.
//
//   load echo   --port=N [--connections=1] [--size=64] [--in_flight=1] [--seconds=3] ...
//   load accept --port=N ...
//   load idle   --port=N --connections=10000
//
// One line of name=value pairs on standard output; every byte that comes back is checked. The flags
// are the fields of Load in load.h. Exit status 2, with a sentence, when the server errs.
#include "plait/io/net/peers/load.h"
#include "plait/io/net/peers/peer.h"

namespace {

struct Flag {
  const char* name;
  int64_t* value;
};

void ReadFlags(int argc, char** argv, peers::Load& load) {
  const Flag flags[] = {
      {"port", &load.port},
      {"connections", &load.connections},
      {"size", &load.size},
      {"in_flight", &load.in_flight},
      {"seconds", &load.seconds},
      {"warmup_ms", &load.warmup_ms},
      {"requests", &load.requests},
      {"spin", &load.spin},
      {"server_pid", &load.server_pid},
  };
  for (int i = 2; i < argc; ++i) {
    bool known = false;
    for (const Flag& flag : flags) known = known || peers::ReadFlag(argv[i], flag.name, flag.value);
    if (!known) peers::Die("there is no such flag; load_main.cc tells which there are");
  }
  if (load.port < 1 || load.port > 65535) peers::Die("--port=N is needed");
  if (load.connections < 1 || load.size < 1 || load.in_flight < 1) {
    peers::Die("--connections, --size and --in_flight are at least 1");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  peers::Load load;
  ReadFlags(argc, argv, load);
  peers::RaiseDescriptorLimit();
  if (mode == "echo") {
    peers::RunEcho(load);
  } else if (mode == "accept") {
    peers::RunAccept(load);
  } else if (mode == "idle") {
    peers::RunIdle(load);
  } else {
    peers::Die("the first argument is echo, accept or idle");
  }
  return 0;
}
