#!/bin/sh
set -eu
[ -e node_modules ] || npm install
npm run --silent build
