#!/bin/sh
set -eu
GOOS=wasip1 GOARCH=wasm go build -trimpath -ldflags='-s -w' -o job.wasm .
