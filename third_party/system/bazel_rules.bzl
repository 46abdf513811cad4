"""Repositories for what Bazel itself loads, made of what the distribution installed."""

_DISTRO_ROOT = "/usr/share/bazel/"

def _distro_rules_impl(rctx):
    root = rctx.path(_DISTRO_ROOT + rctx.attr.folder)
    if not root.exists:
        fail("%s is missing: install Debian's bazel-* package for it, or build with --enable_bzlmod" % root)
    for entry in root.readdir():
        rctx.symlink(entry, entry.basename)

distro_rules = repository_rule(
    doc = "A rule set that Debian installed beside its Bazel.",
    implementation = _distro_rules_impl,
    local = True,
    attrs = {"folder": attr.string(doc = "Under " + _DISTRO_ROOT, mandatory = True)},
)

# Bazel 4 has every rule built in. What it loads from these repositories must exist, and the ones that Debian packages are
# too new for it.
_NATIVE = {
    "rules_cc": {"cc": [
        "cc_binary",
        "cc_import",
        "cc_library",
        "cc_proto_library",
        "cc_test",
        "cc_toolchain",
        "cc_toolchain_suite",
        "fdo_prefetch_hints",
        "fdo_profile",
        "objc_import",
        "objc_library",
    ]},
    "rules_java": {"java": [
        "java_binary",
        "java_import",
        "java_library",
        "java_lite_proto_library",
        "java_package_configuration",
        "java_plugin",
        "java_proto_library",
        "java_runtime",
        "java_test",
        "java_toolchain",
    ]},
    "rules_proto": {"proto": ["proto_lang_toolchain", "proto_library"]},
}

def _native_rules_impl(rctx):
    rctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % rctx.name)
    for package, rules in _NATIVE[rctx.attr.rules].items():
        rctx.file(package + "/BUILD.bazel", "exports_files([\"defs.bzl\"])\n")
        rctx.file(package + "/defs.bzl", "".join(["%s = native.%s\n" % (r, r) for r in rules]))

native_rules = repository_rule(
    doc = "Bazel's built-in rules behind the labels of the rule sets that replaced them.",
    implementation = _native_rules_impl,
    attrs = {"rules": attr.string(mandatory = True, values = _NATIVE.keys())},
)

def _no_coverage_tools_impl(rctx):
    rctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % rctx.name)
    rctx.file("none.sh", "#!/bin/sh\necho 'bazel coverage is not set up here' >&2\nexit 1\n", executable = True)
    rctx.file("BUILD.bazel", "".join([
        "filegroup(name = \"%s\", srcs = [\"none.sh\"], visibility = [\"//visibility:public\"])\n" % name
        for name in ["coverage_report_generator", "lcov_merger"]
    ]))

no_coverage_tools = repository_rule(
    doc = "Every test depends on the coverage tools, even when none are used, and Bazel would download them.",
    implementation = _no_coverage_tools_impl,
)
