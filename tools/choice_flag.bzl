"""choice_flag: a build flag with a fixed list of values, for select() through config_setting(flag_values = ...)."""

def _choice_flag_impl(ctx):
    value = ctx.build_setting_value
    if value not in ctx.attr.choices:
        fail("--%s=%s: no such choice; there are %s" % (ctx.label, value, ", ".join(ctx.attr.choices)))
    return []

choice_flag = rule(
    implementation = _choice_flag_impl,
    build_setting = config.string(flag = True),
    attrs = {"choices": attr.string_list(mandatory = True, doc = "Every value that the flag may have.")},
)
