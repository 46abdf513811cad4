"""What the installed libraries are called: labels as in the Bazel Central Registry, names as in pkg-config.

Only tables, so that this file is valid Python too.
"""

# Package -> target -> pkg-config module. One that the installed Abseil is too old for is left out.
ABSEIL = {
    "algorithm": {"algorithm": "absl_algorithm", "container": "absl_algorithm_container"},
    "base": {
        "base": "absl_base",
        "config": "absl_config",
        "core_headers": "absl_core_headers",
        "dynamic_annotations": "absl_dynamic_annotations",
        "endian": "absl_endian",
        "log_severity": "absl_log_severity",
        "no_destructor": "absl_no_destructor",
        "nullability": "absl_nullability",
        "prefetch": "absl_prefetch",
    },
    "cleanup": {"cleanup": "absl_cleanup"},
    "container": {t: "absl_" + t for t in [
        "btree",
        "fixed_array",
        "flat_hash_map",
        "flat_hash_set",
        "inlined_vector",
        "node_hash_map",
        "node_hash_set",
    ]},
    "debugging": {
        "failure_signal_handler": "absl_failure_signal_handler",
        "leak_check": "absl_leak_check",
        "stacktrace": "absl_stacktrace",
        "symbolize": "absl_symbolize",
    },
    "flags": {
        "commandlineflag": "absl_flags_commandlineflag",
        "config": "absl_flags_config",
        "flag": "absl_flags",
        "marshalling": "absl_flags_marshalling",
        "parse": "absl_flags_parse",
        "reflection": "absl_flags_reflection",
        "usage": "absl_flags_usage",
    },
    "functional": {t: "absl_" + t for t in ["any_invocable", "bind_front", "function_ref", "overload"]},
    "hash": {"hash": "absl_hash"},
    "log": {
        "absl_check": "absl_absl_check",
        "absl_log": "absl_absl_log",
        "check": "absl_check",
        "die_if_null": "absl_die_if_null",
        "flags": "absl_log_flags",
        "globals": "absl_log_globals",
        "initialize": "absl_log_initialize",
        "log": "absl_log",
    },
    "memory": {"memory": "absl_memory"},
    "meta": {"type_traits": "absl_type_traits"},
    "numeric": {"bits": "absl_bits", "int128": "absl_int128"},
    "random": {
        "bit_gen_ref": "absl_random_bit_gen_ref",
        "distributions": "absl_random_distributions",
        "random": "absl_random_random",
        "seed_sequences": "absl_random_seed_sequences",
    },
    "status": {
        "status": "absl_status",
        "status_matchers": "absl_status_matchers",
        "statusor": "absl_statusor",
    },
    "strings": {
        "cord": "absl_cord",
        "str_format": "absl_str_format",
        "string_view": "absl_string_view",
        "strings": "absl_strings",
    },
    "synchronization": {"synchronization": "absl_synchronization"},
    "time": {"time": "absl_time"},
    "types": {t: "absl_" + t for t in ["any", "compare", "optional", "span", "variant"]},
    "utility": {"utility": "absl_utility"},
}

# Repository -> target -> pkg-config modules and linker flags.
LIBS = {
    # It brings no pkg-config module.
    "boost.context": {"boost.context": ["-lboost_context"]},
    "com_github_cares_cares": {"ares": ["libcares"]},
    "com_github_google_benchmark": {
        "benchmark": ["benchmark", "-lpthread"],
        "benchmark_main": ["-lbenchmark_main", "benchmark", "-lpthread"],
    },
    "com_github_grpc_grpc": {"grpc++": ["grpc++"], "grpc++_unsecure": ["grpc++_unsecure"]},
    "com_google_googletest": {
        "gtest": ["gmock", "gtest"],
        "gtest_main": ["gmock_main", "gmock", "gtest"],
    },
    "com_google_protobuf": {"protobuf": ["protobuf"], "protobuf_lite": ["protobuf-lite"]},
    "libjpeg_turbo": {"jpeg": ["libjpeg"]},
    "libpng": {"libpng": ["libpng"]},
    "liburing": {"liburing": ["liburing"]},
    "openssl": {"crypto": ["libcrypto"], "ssl": ["libssl", "libcrypto"]},
}

# Repository -> package:target -> program.
TOOLS = {
    "com_github_grpc_grpc": {"src/compiler:grpc_cpp_plugin": "grpc_cpp_plugin"},
    "com_google_protobuf": {":protoc": "protoc"},
}
