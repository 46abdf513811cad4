#!/usr/bin/env bash
# tools/setup on pretended machines: PATH leads to nothing but fakes, and a fake apt-get "installs" by making what setup looks
# for and keeps a log of its calls.
set -euo pipefail
setup=$PWD/tools/setup
bash=$(command -v bash)

failed=0
check() { # check <what> <text> <pattern>
  if ! grep -q -- "$3" <<<"$2"; then
    printf 'FAILED: %s\n  no "%s" in:\n%s\n' "$1" "$3" "$2"
    failed=1
  fi
}
check_not() {
  if grep -q -- "$3" <<<"$2"; then
    printf 'FAILED: %s\n  "%s" in:\n%s\n' "$1" "$3" "$2"
    failed=1
  fi
}

fake() { # fake <program>, its script on stdin
  { echo "#!$bash"; cat; } >"$machine/bin/$1"
  chmod +x "$machine/bin/$1"
}

# A machine with nothing but apt, whose package lists are empty.
new_machine() {
  machine=$(mktemp -d "$TEST_TMPDIR/machine.XXXX")
  mkdir "$machine/bin" "$machine/pc"
  touch "$machine/log"
  ln -s "$(command -v env)" "$(command -v touch)" "$(command -v chmod)" "$machine/bin/"
  fake id <<<'echo 0'
  fake apt-cache <<<"[[ -e $machine/lists ]]"
  fake apt-get <<EOF
echo "apt-get \$*" >>$machine/log
[[ \$1 != update ]] || exec touch $machine/lists
[[ -e $machine/lists && ! -e $machine/broken ]] || { echo "E: Unable to locate package" >&2; exit 100; }
for argument; do
  case \$argument in
    bazel-bootstrap) tool=bazel ;;
    protobuf-compiler) tool=protoc ;;
    protobuf-compiler-grpc) tool=grpc_cpp_plugin ;;
    g++ | pkg-config | python3) tool=\$argument ;;
    libabsl-dev) touch $machine/pc/absl_base.pc; continue ;;
    libc-ares-dev) touch $machine/pc/libcares.pc; continue ;;
    libgmock-dev) touch $machine/pc/gmock_main.pc; continue ;;
    lib*-dev) argument=\${argument#lib}; touch $machine/pc/{,lib}\${argument%-dev}.pc; continue ;;
    *) continue ;;
  esac
  echo '#!$bash
echo $machine/pc' >$machine/bin/\$tool
  chmod +x $machine/bin/\$tool
done
EOF
}

run() { # Sets output, log and status.
  status=0
  output=$(env -i PATH="$machine/bin" "$bash" "$setup" 2>&1) || status=$?
  log=$(<"$machine/log")
}

new_machine
run
check "a bare machine is set up" "$status $output" "^0 .*missing here"
check "it says what and why" "$output" "libgrpc++-dev  *gRPC"
check "it fetches the lists that were not there" "$log" "apt-get update"
check "it installs" "$log" "apt-get install .*bazel-bootstrap g++ pkg-config"

: >"$machine/log"
run
check "a second run finds nothing to do" "$status $output" "^0 tools/setup: nothing is missing"
check_not "and calls no apt-get" "$log" "apt-get"

rm "$machine/pc/liburing.pc"
run
check "only what is missing is installed" "$log" "apt-get install .* liburing-dev$"
check_not "and lists that are there are not fetched again" "$log" "update"

new_machine
touch "$machine/bin/bazel" && chmod +x "$machine/bin/bazel"
run
check_not "another Bazel will do" "$log" "bazel-bootstrap"

new_machine
fake id <<<'echo 1000'
run
check "neither root nor sudo is an error that says so" "$status $output" "^1 "
check "neither root nor sudo is an error that says so" "$output" "needs root, and there is no sudo"
check_not "and nothing is tried" "$log" "apt-get"

fake sudo <<<"echo sudo >>$machine/log; exec \"\$@\""
run
check "sudo is used by those who are not root" "$status $log" "^0 sudo"

new_machine
touch "$machine/broken"
run
check "an installation that fails is an error" "$status $output" "could not install"
check_not "an installation that fails is an error" "$status" "^0"

new_machine
rm "$machine/bin/apt-get"
run
check "without apt-get it says what to install" "$status $output" "no apt-get"

exit $failed
