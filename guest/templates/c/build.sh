#!/bin/sh
set -eu
clang --target=wasm32 -O2 -nostdlib -Wall -Wl,--no-entry job.c -o job.wasm
