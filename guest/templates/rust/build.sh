#!/bin/sh
set -eu
cargo build --release --target wasm32-unknown-unknown
cp target/wasm32-unknown-unknown/release/job.wasm job.wasm
