"""Repositories that wrap the libraries that the distribution installed, behind the labels of their own Bazel builds.

pkg-config says how each is linked, so one tree follows whatever version is installed. Headers need no mention: they are in the
compiler's own search path.
"""

load(":libs.bzl", "ABSEIL")

_BUILD_HEADER = """load("@rules_cc//cc:defs.bzl", "cc_library")

package(default_visibility = ["//visibility:public"])
"""

def _pkg_config(rctx, arguments):
    """Returns what pkg-config prints, or None when it does not know the module."""
    program = rctx.which("pkg-config")
    if not program:
        fail("pkg-config is not installed: run tools/setup")
    result = rctx.execute([program] + arguments)
    return result.stdout.strip() if result.return_code == 0 else None

def _library(name, flags):
    # The order matters to the linker, so only a repetition that follows at once may go.
    linkopts = []
    for flag in flags:
        if flag and linkopts[-1:] != [flag]:
            linkopts.append(flag)
    return "\ncc_library(\n    name = \"%s\",\n    linkopts = %r,\n)\n" % (name, linkopts)

def _system_abseil_impl(rctx):
    version = _pkg_config(rctx, ["--modversion", "absl_base"])
    if version == None:
        fail("Abseil is not installed: run tools/setup")
    if rctx.os.environ.get("PLAIT_ABSEIL_FROM_SOURCE") == "1":
        _abseil_from_source(rctx, version)
        return
    rctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % rctx.name)
    rctx.file("BUILD.bazel", "")
    for package, targets in ABSEIL.items():
        build = _BUILD_HEADER
        for target, module in targets.items():
            libs = _pkg_config(rctx, ["--libs", module])
            if libs != None:  # Else this Abseil is too old for it.
                build += _library(target, libs.split(" "))
        rctx.file("absl/%s/BUILD.bazel" % package, build)

def _abseil_from_source(rctx, version):
    """The source tree, with upstream's BUILD files, where tools/get_abseil_source put it."""
    environ = rctx.os.environ
    cache = environ.get("XDG_CACHE_HOME") or environ["HOME"] + "/.cache"
    root = rctx.path("%s/plait/abseil-%s" % (cache, version))
    if not root.exists:
        fail("%s is missing: run tools/get_abseil_source" % root)
    for entry in root.readdir():
        rctx.symlink(entry, entry.basename)

system_abseil = repository_rule(
    doc = "Abseil: one package per folder of it, one target per pkg-config module.",
    implementation = _system_abseil_impl,
    local = True,
    environ = ["PKG_CONFIG_PATH", "PLAIT_ABSEIL_FROM_SOURCE", "XDG_CACHE_HOME"],
)

def _system_library_impl(rctx):
    rctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % rctx.name)
    builds = {"": _BUILD_HEADER}
    for target, modules in rctx.attr.libs.items():
        flags = []
        for module in modules:
            if module.startswith("-"):
                flags.append(module)
                continue
            libs = _pkg_config(rctx, ["--libs", module])
            if libs == None:
                fail("pkg-config does not know %s: run tools/setup" % module)
            flags += libs.split(" ")
        builds[""] += _library(target, flags)
    for label, program in rctx.attr.tools.items():
        path = rctx.which(program)
        if not path:
            fail("%s is not installed: run tools/setup" % program)
        package, _, target = label.rpartition(":")
        script = target + ".sh"
        rctx.file((package + "/" if package else "") + script, "#!/bin/sh\nexec %s \"$@\"\n" % path, executable = True)
        builds[package] = builds.get(package, _BUILD_HEADER) + \
                          "\nfilegroup(\n    name = \"%s\",\n    srcs = [\"%s\"],\n)\n" % (target, script)
    for package, build in builds.items():
        rctx.file((package + "/" if package else "") + "BUILD.bazel", build)

system_library = repository_rule(
    doc = "A library, and the programs that belong to it.",
    implementation = _system_library_impl,
    local = True,
    environ = ["PATH", "PKG_CONFIG_PATH"],
    attrs = {
        "libs": attr.string_list_dict(doc = "Target -> pkg-config modules and linker flags."),
        "tools": attr.string_dict(doc = "package:target -> program."),
    },
)

# libkqueue has faults where it calls the system that nothing but another call mends: see io/system/libkqueue.cc, which has them.
_LIBKQUEUE_CALLS = ["epoll_ctl", "epoll_wait", "fstat", "getsockopt"]

# What io/system/libkqueue.cc needs of it. The rest, of which there are names like map_new, stays inside.
_LIBKQUEUE_SYMBOLS = ["kevent", "kq_mtx", "kqueue", "monitoring_thread_initialized"]

def _libkqueue_impl(rctx):
    environ = rctx.os.environ
    cache = environ.get("XDG_CACHE_HOME") or environ["HOME"] + "/.cache"
    prefix = rctx.path(cache + "/plait/libkqueue")
    linux = rctx.os.name == "linux"
    present = linux and prefix.exists
    rctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % rctx.name)
    rctx.file("defs.bzl", "HAVE_LIBKQUEUE = %s\n" % present)
    build = _BUILD_HEADER + "\ncc_library(\n    name = \"libkqueue\",\n%s)\n"
    if not present:
        rctx.file("BUILD.bazel", build % "")
        if linux:
            # buildifier: disable=print
            print("SKIPPED: io/kqueue and all that runs over it. libkqueue is not here: run tools/get_libkqueue")
        return
    rctx.symlink(prefix.get_child("include"), "include")
    for command in [
        ["ld", "-r", "--whole-archive", prefix.get_child("libkqueue.a"), "-o", "libkqueue.o"],
        ["objcopy"] +
        ["--redefine-sym=%s=plait_libkqueue_%s" % (call, call) for call in _LIBKQUEUE_CALLS] +
        ["--keep-global-symbol=" + symbol for symbol in _LIBKQUEUE_SYMBOLS] + ["libkqueue.o"],
        ["ar", "rcs", "libkqueue.a", "libkqueue.o"],
    ]:
        result = rctx.execute(command)
        if result.return_code != 0:
            fail("%s: %s" % (command[0], result.stderr))
    rctx.file("BUILD.bazel", build % """    srcs = ["libkqueue.a"],
    hdrs = ["include/sys/event.h"],
    includes = ["include"],
    linkopts = ["-lpthread"],
""")

libkqueue = repository_rule(
    doc = """libkqueue, where tools/get_libkqueue put it. defs.bzl says whether it did.

    It becomes part of what is linked with it, which then runs on machines that have no libkqueue.""",
    implementation = _libkqueue_impl,
    local = True,
    environ = ["HOME", "PATH", "XDG_CACHE_HOME"],
)
