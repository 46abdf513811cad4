#!/usr/bin/env bash
# Every number that is sent is received once, by one of the consumers.
set -euo pipefail
for threads in 1 2 5; do
  said=$(schedulers/work_stealing/peers/channel channel 10000 $threads)
  [[ $said =~ ^"plait workload=channel n=10000 threads=$threads seconds="[0-9.]+" result=49995000 peak_mib="[0-9.]+$ ]] ||
    { echo "FAILED: it says: $said" >&2; exit 1; }
done
if schedulers/work_stealing/peers/channel fib 10 1 2>/dev/null; then echo "FAILED: it forks" >&2; exit 1; fi
