"""plait_explored_test: a test under the explorer (runtime/testing/explorer)."""

load("//tools:plait.bzl", "plait_binary")

def _explored_impl(settings, _attr):
    # The other sanitizers, and ThreadSanitizer's own runtime, have no part in it: under every configuration it is this build.
    copts = [c for c in settings["//command_line_option:copt"] if "-fsanitize" not in c and "-fno-sanitize" not in c]
    linkopts = [c for c in settings["//command_line_option:linkopt"] if "-fsanitize" not in c]
    return {
        "//command_line_option:copt": copts + ["-DPLAIT_EXPLORE", "-fsanitize=thread", "-O1", "-g1"],
        "//command_line_option:linkopt": linkopts,
    }

_explored = transition(
    implementation = _explored_impl,
    inputs = [
        "//command_line_option:copt",
        "//command_line_option:linkopt",
    ],
    outputs = [
        "//command_line_option:copt",
        "//command_line_option:linkopt",
    ],
)

def _explored_test_impl(ctx):
    program = ctx.attr.program[0][DefaultInfo]
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = executable, target_file = program.files_to_run.executable, is_executable = True)
    return [DefaultInfo(executable = executable, runfiles = program.default_runfiles)]

_explored_test = rule(
    implementation = _explored_test_impl,
    test = True,
    attrs = {
        "program": attr.label(mandatory = True, cfg = _explored, executable = True, doc = "The test, as a program."),
        "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
    },
)

def plait_explored_test(name, srcs, deps, size = "small", tags = [], **kwargs):
    """A GoogleTest in which, and in all that it depends on, Atomic and every access to memory are the explorer's.

    That needs no flag: a transition builds the test's dependencies a second time, for it alone, so that both kinds of code
    never meet in one program. It is one build whatever the configuration, so with --config=tsan, which would bring an Abseil
    that calls more of ThreadSanitizer's runtime, it is left out. Its tag "explored" is for who leaves it out elsewhere, as once
    is enough.
    """
    plait_binary(
        name = name + "_program",
        testonly = True,
        srcs = srcs,
        data = [Label("//runtime/testing/explorer:MUTANTS.md")],  # what mutants of Plait's own are held against
        tags = ["manual"],  # built through the test alone
        visibility = ["//visibility:private"],
        deps = deps + ["@com_google_googletest//:gtest_main"],
    )
    _explored_test(
        name = name,
        size = size,
        # no_tsan: the two uses of ThreadSanitizer's instrumentation do not mix; explored: once is enough (.ci/run).
        tags = tags + ["explored", "no_tsan"],
        program = ":" + name + "_program",
        **kwargs
    )
