/*
 * QuickJS as a WASI command: `main SCRIPT ARGS…` evaluates the file SCRIPT as an ES module, runs what it
 * started (promises, timers) to the end and exits: 0, 1 for an exception nobody caught, or what
 * std.exit() says. Modules `std` and `os` are those of quickjs-libc, and global as well.
 *
 * Built by build.sh in this folder; the result, quickjs.wasm, is committed.
 */
#include <stdio.h>
#include <string.h>
#include "quickjs.h"
#include "quickjs-libc.h"

/* Less than the stack budget of the profile allows, so that endless recursion is an exception of the script. */
#define STACK_BYTES (88 * 1024)

static const char PRELUDE[] =
    "import * as std from 'std'\n"
    "import * as os from 'os'\n"
    "Object.assign(globalThis, { std, os, setTimeout: os.setTimeout, clearTimeout: os.clearTimeout,"
    " setInterval: os.setInterval, clearInterval: os.clearInterval })\n"
    "globalThis.console.error = globalThis.console.warn = (...args) => { std.err.puts(args.join(' ') + '\\n') }\n";

/* Evaluates a module and waits for it, top-level await included; whether it threw. */
static int evaluate(JSContext *ctx, const char *source, size_t length, const char *name)
{
    JSValue value = JS_Eval(ctx, source, length, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    if (!JS_IsException(value)) {
        js_module_set_import_meta(ctx, value, 1, 1);
        value = js_std_await(ctx, JS_EvalFunction(ctx, value));
    }
    int failed = JS_IsException(value);
    if (failed)
        js_std_dump_error(ctx);
    JS_FreeValue(ctx, value);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("usage: main SCRIPT.js [ARGS…]\n", stderr);
        return 64;
    }
    JSRuntime *rt = JS_NewRuntime();
    JS_SetMaxStackSize(rt, STACK_BYTES);
    js_std_init_handlers(rt);
    JS_SetHostPromiseRejectionTracker(rt, js_std_promise_rejection_tracker, NULL);
    JS_SetModuleLoaderFunc2(rt, NULL, js_module_loader, js_module_check_attributes, NULL);
    JSContext *ctx = JS_NewContext(rt);
    js_init_module_std(ctx, "std");
    js_init_module_os(ctx, "os");
    /* scriptArgs[0] is the script, as argv[0] is elsewhere. */
    js_std_add_helpers(ctx, argc - 1, argv + 1);

    size_t length;
    uint8_t *source = js_load_file(ctx, &length, argv[1]);
    if (source == NULL) {
        fprintf(stderr, "%s cannot be read\n", argv[1]);
        return 66;
    }
    if (evaluate(ctx, PRELUDE, strlen(PRELUDE), "<prelude>"))
        return 70;
    int failed = evaluate(ctx, (const char *)source, length, argv[1]);
    if (!failed)
        failed = js_std_loop(ctx);
    fflush(stdout);
    /* Nothing is freed: the whole memory goes with the instance. */
    return failed ? 1 : 0;
}
