"""The rules that Plait's own BUILD files are written with."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")

# Warnings for our code only: the libraries' headers are system headers. They are errors under --config=ci (see .bazelrc),
# not for users, whose compilers may know warnings that ours do not.
_COPTS = [
    "-Wall",
    "-Wextra",
    # A designated initializer that leaves the rest at its defaults is good style.
    "-Wno-missing-field-initializers",
]

_TEST_DEPS = ["//runtime/testing:sanitizer_suppressions"]

def plait_library(name, copts = [], **kwargs):
    """A cc_library whose headers are included as "plait/<package>/<header>", here and in a workspace that depends on us.

    The prefix lets a service with a runtime/ or io/ folder of its own build beside Plait.
    """
    cc_library(
        name = name,
        copts = _COPTS + copts,
        include_prefix = "plait",
        strip_include_prefix = "/",
        **kwargs
    )

def plait_binary(name, copts = [], **kwargs):
    """A cc_binary with Plait's warnings."""
    cc_binary(
        name = name,
        copts = _COPTS + copts,
        **kwargs
    )

def plait_test(name, deps = [], copts = [], main = "@com_google_googletest//:gtest_main", **kwargs):
    """A cc_test on GoogleTest. main = None is for a test that brings its own main()."""
    cc_test(
        name = name,
        copts = _COPTS + copts,
        deps = deps + _TEST_DEPS + ([main] if main else []),
        **kwargs
    )

def plait_benchmark(
        name,
        deps = [],
        copts = [],
        args = [],
        tags = [],
        size = "small",
        main = "@com_github_google_benchmark//:benchmark_main",
        **kwargs):
    """A Google Benchmark program that is also a test, running for a moment, so that it cannot rot.

    main = "@com_github_google_benchmark//:benchmark" is for one that brings its own main().

    To measure: bazel run -c opt //x:x_benchmark -- --benchmark_min_time=1
    """
    cc_test(
        name = name,
        size = size,
        # Of a flag given twice, as by the command above, Google Benchmark takes the last.
        args = ["--benchmark_min_time=0.01"] + args,
        copts = _COPTS + copts,
        tags = ["benchmark"] + tags,
        deps = deps + _TEST_DEPS + [main],
        **kwargs
    )
