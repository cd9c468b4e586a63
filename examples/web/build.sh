#!/usr/bin/env bash
# Builds the page into examples/web/site, which any web server can serve:
#
#     rustup target add wasm32-unknown-unknown
#     cargo install wasm-bindgen-cli --version 0.2.130   # the version in examples/web/Cargo.lock
#     examples/web/build.sh
#     python3 -m http.server --directory examples/web/site
#
# CARGO_FLAGS adds flags to cargo's command line.
set -euo pipefail
cd "$(dirname "$0")"
target=wasm32-unknown-unknown
# shellcheck disable=SC2086
cargo build --release --locked --target "$target" ${CARGO_FLAGS:-}
built=${CARGO_TARGET_DIR:-target}/$target/release/wgrad_web.wasm
rm -rf site
mkdir -p site/data
wasm-bindgen --target web --no-typescript --remove-name-section --out-dir site/pkg "$built"
cp page/* site/
cp ../data/chess_train.bin ../data/chess_validation.bin site/data/
echo "examples/web/site: $(du -sh site | cut -f1)"
