"""plait_deps: the repositories of a WORKSPACE build, all from what the distribution installed.

Nothing is downloaded. MODULE.bazel names the same dependencies for Bazel 7 and later.
"""

load("//third_party/system:bazel_rules.bzl", "distro_rules", "native_rules", "no_coverage_tools")
load("//third_party/system:libs.bzl", "LIBS", "TOOLS")
load("//third_party/system:system_repos.bzl", "libkqueue", "system_abseil", "system_library")

def _maybe(rule, name, **kwargs):
    if not native.existing_rule(name):
        rule(name = name, **kwargs)

def plait_deps():
    """Declares every repository that Plait needs and the workspace has not declared before."""
    _bazel_rules()
    _maybe(system_abseil, "com_google_absl")
    _maybe(libkqueue, "libkqueue")
    for name, libs in LIBS.items():
        _maybe(system_library, name, libs = libs, tools = TOOLS.get(name, {}))

def _bazel_rules():
    """Declares what Bazel itself would otherwise fetch from the network."""

    # Debian's Bazels do not tell native.bazel_version. This function came with 6.1.
    if hasattr(native, "package_relative_label"):
        for name, folder in {
            "bazel_features": "tools/features",
            "bazel_skylib": "tools/skylib",
            "platforms": "tools/platforms",
            "rules_cc": "rules/cc",
            "rules_java": "rules/java",
            "rules_license": "rules/license",
            "rules_proto": "rules/proto",
            "rules_python": "rules/python",
        }.items():
            _maybe(distro_rules, name, folder = folder)
    else:
        # No platforms: 4.2.3 has its own, and another does not fit it.
        for name in ["rules_cc", "rules_java", "rules_proto"]:
            _maybe(native_rules, name, rules = name)
        _maybe(distro_rules, "bazel_skylib", folder = "tools/skylib")
    _maybe(no_coverage_tools, "remote_coverage_tools")
