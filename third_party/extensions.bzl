"""The module extension for what the Bazel Central Registry does not hold."""

load("//third_party/system:system_repos.bzl", "libkqueue")

def _plait_system_impl(_mctx):
    libkqueue(name = "libkqueue")

plait_system = module_extension(implementation = _plait_system_impl)
