#!/usr/bin/env bash
# The labels of protoc and of gRPC's plugin lead to programs that make C++ of a service.
set -euo pipefail
protoc=$1
plugin=$2

cd "$TEST_TMPDIR"
cat >greeter.proto <<'EOF'
syntax = "proto3";
message Hello {}
service Greeter { rpc Greet (Hello) returns (Hello) {} }
EOF
"$TEST_SRCDIR/$TEST_WORKSPACE/$protoc" -I. --cpp_out=. --grpc_out=. \
  --plugin=protoc-gen-grpc="$TEST_SRCDIR/$TEST_WORKSPACE/$plugin" greeter.proto
grep -q 'class Hello' greeter.pb.h
grep -q 'class Greeter' greeter.grpc.pb.h
