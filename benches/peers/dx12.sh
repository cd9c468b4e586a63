#!/bin/bash
# Runs `wgrad verify --device dx12:` on Linux: wgrad.exe under Wine, with Microsoft's shader compiler.
#
#     benches/peers/dx12.sh DIR [arguments for verify]
#     WGRAD_EXE=wgrad.exe benches/peers/dx12.sh /tmp/dx12 --report dx12.md
#
# What it shows: wgpu's DX12 backend and the shader compiler FXC (d3dcompiler_47.dll) are the real ones. The Direct3D 12
# runtime is Wine's, and the driver below it is Mesa's llvmpipe on Vulkan, not Microsoft's and not a GPU's. The name of
# the adapter, a GeForce of 2010, is an invention of Wine.
#
# DIR is created and holds everything: a Debian system with Wine, Mesa and a virtual display (about 2.5 GB), and the npm
# package `webgpu`, which brings the compiler. A later run uses what is there. Nothing else is installed. Needs root or
# sudo for the Debian system, its package `debootstrap`, and npm. The Debian mirror is MIRROR if it is set, else the one
# that apt uses here. Wine is new enough from Debian 13 (SUITE, trixie by default): with the Wine 8 of Debian
# 12 the results are wrong.
#
# WGRAD_EXE is a wgrad.exe. Without it, cargo builds one for x86_64-pc-windows-gnu, which needs the linker of
# `gcc-mingw-w64-x86-64` and the target: `rustup target add x86_64-pc-windows-gnu`.
#
# Output: that of verify; a file of --report is written to the directory of the call. The exit status is verify's: 0 if all
# pass, 1 if any fails; 2 for wrong usage.
set -euo pipefail

if [ $# -lt 1 ]; then
    echo "usage: $0 DIR [arguments for verify]" >&2
    exit 2
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
suite=${SUITE:-trixie}
target=x86_64-pc-windows-gnu
packages="wine wine64 mesa-vulkan-drivers libvulkan1 xvfb libgl1 libglx-mesa0 libxrandr2 libxinerama1 libxi6
    libxcursor1 libxcomposite1 libxxf86vm1 libxfixes3"

as_root=
if [ "$(id -u)" -ne 0 ]; then as_root=sudo; fi

need() {
    PATH=$PATH:/sbin:/usr/sbin
    if ! command -v "$1" > /dev/null; then
        echo "$0: $1 is missing: $2" >&2
        exit 1
    fi
}

# The mirror from which apt takes Debian's packages.
mirror_of_this_machine() {
    apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' 'Created-By: Packages' | head -n 1
}

exe=${WGRAD_EXE:-}
if [ -z "$exe" ]; then
    need cargo "see rustup.rs"
    cargo build --release --locked --features cli --bin wgrad --target $target --manifest-path "$root/Cargo.toml" >&2
    built=$(cargo metadata --format-version 1 --no-deps --manifest-path "$root/Cargo.toml" |
        grep -o '"target_directory":"[^"]*"' | cut -d '"' -f 4)
    exe=$built/$target/release/wgrad.exe
fi
if [ ! -f "$exe" ]; then
    echo "$0: $exe is not a file" >&2
    exit 2
fi

compiler=$dir/node_modules/webgpu/dist/win32-x64/d3dcompiler_47.dll
if [ ! -f "$compiler" ]; then
    need npm "install Node"
    npm install --silent --ignore-scripts --prefix "$dir" webgpu >&2
fi

system=$dir/$suite
if [ ! -e "$system/wgrad/complete" ]; then
    need debootstrap "apt-get install debootstrap"
    mirror=${MIRROR:-$(mirror_of_this_machine || true)}
    if [ -z "$mirror" ]; then
        echo "$0: apt has no source of Debian here; set MIRROR" >&2
        exit 1
    fi
    $as_root rm -rf --one-file-system "$system"
    $as_root env PATH="$PATH:/sbin:/usr/sbin" debootstrap --variant=minbase "$suite" "$system" "$mirror" >&2
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$system" \
        apt-get install -q -y --no-install-recommends $packages >&2
    $as_root chroot "$system" apt-get clean
    $as_root mkdir -p "$system/wgrad"
    $as_root touch "$system/wgrad/complete"
fi

work=$system/wgrad
$as_root cp "$exe" "$work/wgrad.exe"
$as_root cp "$compiler" "$work/"

# --report FILE becomes a file of the Debian system, which is copied here at the end.
report=
arguments=()
while [ $# -gt 0 ]; do
    if [ "$1" = --report ] && [ $# -gt 1 ]; then
        report=$2
        arguments+=(--report report.md)
        shift
    else
        arguments+=("$1")
    fi
    shift
done
$as_root rm -f "$work/report.md"

# Wine's dxgi has no adapters without a display. d3dcompiler_47 is the file beside the program, never Wine's own.
inside='
    cd /wgrad
    export HOME=/wgrad WINEPREFIX=/wgrad/prefix XDG_RUNTIME_DIR=/tmp WINEDEBUG=-all LC_ALL=C DISPLAY=:97
    export WINEDLLOVERRIDES="d3dcompiler_47=n;mscoree,mshtml="
    mount -t proc proc /proc
    rm -f /tmp/.X97-lock /tmp/.X11-unix/X97
    Xvfb :97 -screen 0 640x480x24 > /dev/null 2>&1 &
    until [ -e /tmp/.X11-unix/X97 ]; do sleep 0.1; done
    wineboot -i > /dev/null 2>&1
    status=0
    wine wgrad.exe verify --device dx12: "$@" || status=$?
    exit $status'
# Namespaces of its own, so that the display and what is left of Wine end with it.
status=0
$as_root unshare --mount --pid --net --fork --kill-child chroot "$system" sh -c "$inside" sh "${arguments[@]}" || status=$?
if [ -n "$report" ] && [ -f "$work/report.md" ]; then
    $as_root cat "$work/report.md" > "$report"
    echo "report copied to $report" >&2
fi
exit $status
