#!/usr/bin/env bash
# The tree is formatted as tools/format would. Where a formatter is not installed the test says so in its log and passes, so
# that building Plait does not need it; under --test_env=PLAIT_LINT=require it fails.
set -uo pipefail

# This file, through the links that Bazel made of it, lies in the source tree.
"$(dirname "$(realpath "$0")")/../format" --check 2>&1
status=$?
case $status in
  0) ;;
  3) [[ ${PLAIT_LINT-} == require ]] || { echo "NOT EVERYTHING WAS CHECKED, see above" && status=0; } ;;
  *) echo "Run tools/format, then see what it could not mend." ;;
esac
exit $status
