#!/usr/bin/env bash
# The floors echo what they are sent, whoever sends it and however much, and the load generator notices when they do not.
set -euo pipefail
cd io/net/peers

failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# run <arguments of load>: a run against the server that listens on $port.
run() {
  local line
  if ! line=$(./load "$@" --port="$port"); then
    fail "$server: load $*"
  elif [[ $line != *"requests_per_second="[1-9]*" p50_us="*" p99_us="*" p999_us="* ]]; then
    fail "$server: load $* says: $line"
  fi
}

for server in raw_epoll raw_io_uring; do
  exec {from_server}< <(exec ./$server --port=0)
  pid=$!
  read -r _ _ port <&"$from_server"
  run echo --requests=1
  run echo --requests=2000 --connections=64
  run echo --requests=5000 --connections=7 --in_flight=16 --server_pid="$pid"
  # More than the buffers of both ends hold, so that writes are short and wait.
  run echo --requests=20 --connections=2 --size=10000000
  # More connections in flight than the io_uring server has buffers.
  run echo --requests=3000 --connections=1500
  run accept --requests=500 --connections=8
  held=$(./load idle --connections=300 --port="$port" </dev/null) || fail "$server: load idle"
  [[ $held == "holding 300 connections" ]] || fail "$server: load idle says: $held"
  kill "$pid"
  # A server that is gone is an error, and no result.
  if ./load echo --requests=1 --port="$port" >/dev/null 2>&1; then fail "$server: load without a server succeeds"; fi
  exec {from_server}<&-
done

# A server that answers with other bytes than it was sent.
exec {from_server}< <(exec python3 -u -c '
import socket
listener = socket.create_server(("127.0.0.1", 0))
print("listening on", listener.getsockname()[1])
while True:
    connection, _ = listener.accept()
    data = connection.recv(64)
    connection.sendall(bytes([data[0] ^ 1]) + data[1:])
')
pid=$!
read -r _ _ port <&"$from_server"
for mode in echo accept idle; do
  said=$(./load "$mode" --requests=1 --port="$port" 2>&1 </dev/null) && fail "load $mode does not notice a wrong byte"
  [[ $said == *"the server sent other bytes than it was sent"* ]] || fail "load $mode says of a wrong byte: $said"
done
kill "$pid"

for game in ping_pong_raw_epoll ping_pong; do
  said=$(./$game) || fail "$game"
  [[ $said == "seconds="*" cpu_us_per_request="* ]] || fail "$game says: $said"
done

exit $((failures > 0))
