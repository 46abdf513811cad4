#!/usr/bin/env bash
# The floor comes to the right answers, prints the line that compare reads, and refuses nonsense.
set -euo pipefail
serial=schedulers/work_stealing/peers/serial

failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

for workload in "fib 20 6765" "skynet 4 49995000" "nqueens 8 92" "matmul 128 2097152"; do
  read -r name n result <<<"$workload"
  said=$($serial "$name" "$n" 1) || fail "$name"
  [[ $said =~ ^"serial workload=$name n=$n threads=1 seconds="[0-9.]+" result=$result peak_mib="[0-9.]+$ ]] ||
    fail "$name says: $said"
done
for nonsense in "" "fib" "fib 10" "fib 0 1" "fib 10 0" "fob 10 1" "matmul 100 1" "channel 10 1" "fib 10 2"; do
  # shellcheck disable=SC2086
  $serial $nonsense >/dev/null 2>&1 && fail "'$nonsense' is not refused"
done
exit $((failures > 0))
