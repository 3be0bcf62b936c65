#!/bin/sh
# Writes quickjs.wasm, which runs `inos run job.js`, from QuickJS-ng 0.15.1 (MIT) and main.c:
#   sh guest/javascript/build.sh [SOURCE]
# SOURCE is a folder with that release; without one it is taken from the crate rquickjs-sys 0.12.2 with cargo.
# Needs clang, lld and wasi-libc (Debian: clang lld wasi-libc libclang-rt-dev-wasm32), and binaryen from npm.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=${1:-}
if [ -z "$source" ]; then
  mkdir -p "$work/crate/src" && : > "$work/crate/src/lib.rs"
  printf '[package]\nname = "quickjs-source"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\nrquickjs-sys = "=0.12.2"\n' > "$work/crate/Cargo.toml"
  (cd "$work/crate" && cargo vendor --quiet > /dev/null)
  source=$work/crate/vendor/rquickjs-sys/quickjs
fi

# Upstream has no stack limit on WASI, so that endless recursion would end the engine and not the script. And
# computed gotos become a switch with a copy of every local at each jump.
sed -e 's/^#if defined(__wasi__)$/#if 0/' -e 's/^#define DIRECT_DISPATCH  1$/#define DIRECT_DISPATCH  0/' "$source/quickjs.c" > "$work/quickjs.c"

flags='--target=wasm32-wasi -Oz -DNDEBUG -D_GNU_SOURCE -D_WASI_EMULATED_PROCESS_CLOCKS -D_WASI_EMULATED_SIGNAL -funsigned-char'
for file in "$work/quickjs.c" "$source/libregexp.c" "$source/libunicode.c" "$source/dtoa.c" "$source/quickjs-libc.c" "$here/main.c"; do
  clang $flags -I"$source" -w -c "$file" -o "$work/$(basename "$file" .c).o"
done
clang --target=wasm32-wasi -s -o "$work/linked.wasm" "$work"/*.o -Wl,-z,stack-size=1048576 -lwasi-emulated-process-clocks -lwasi-emulated-signal -lm
node "$here/../../node_modules/binaryen/bin/wasm-opt" -O3 "$work/linked.wasm" -o "$here/quickjs.wasm"
cp "$source/LICENSE" "$here/LICENSE"
