#!/bin/sh
# Runs `wgrad verify` on SwiftShader, the software Vulkan driver that comes with Chromium.
#
#     benches/peers/swiftshader.sh target/release/wgrad [arguments for verify]
#     benches/peers/swiftshader.sh target/release/wgrad --json > swiftshader.json
#
# Where Debian's package `chromium` is missing it is installed (as root or by sudo), with the Vulkan loader. SWIFTSHADER_ICD
# names the driver's json file where it lies elsewhere. Only SwiftShader is shown to the Vulkan loader.
#
# Output: the driver's json on stderr, then what `wgrad verify --device swiftshader` prints: a line a kernel with its cases and the
# worst error as a fraction of its bound. The exit status is verify's: 0 if all pass, 1 if any fails.
set -eu

if [ $# -lt 1 ]; then
    echo "usage: $0 WGRAD [arguments for verify]" >&2
    exit 2
fi
wgrad=$1
shift
if ! command -v "$wgrad" > /dev/null; then
    echo "$0: $wgrad is not a program; cargo build --release --features cli makes target/release/wgrad" >&2
    exit 2
fi

find_icd() {
    for file in ${SWIFTSHADER_ICD:+"$SWIFTSHADER_ICD"} /usr/lib/chromium/vk_swiftshader_icd.json \
        /usr/lib/chromium-browser/vk_swiftshader_icd.json /opt/google/chrome/vk_swiftshader_icd.json; do
        if [ -f "$file" ]; then
            echo "$file"
            return
        fi
    done
}

has_loader() {
    PATH=$PATH:/sbin:/usr/sbin
    ldconfig -p 2> /dev/null | grep -q 'libvulkan\.so\.1'
}

icd=$(find_icd)
if [ -z "$icd" ] || ! has_loader; then
    if ! command -v apt-get > /dev/null; then
        echo "$0: no vk_swiftshader_icd.json and no apt-get: install Chromium and set SWIFTSHADER_ICD" >&2
        exit 1
    fi
    as_root=
    if [ "$(id -u)" -ne 0 ]; then as_root=sudo; fi
    $as_root apt-get update -q >&2
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium libvulkan1 >&2
    icd=$(find_icd)
fi
if [ -z "$icd" ]; then
    echo "$0: the package chromium has no vk_swiftshader_icd.json here; set SWIFTSHADER_ICD to where it is" >&2
    exit 1
fi

echo "SwiftShader: $icd" >&2
# The newer and the older name of the same variable.
export VK_DRIVER_FILES="$icd" VK_ICD_FILENAMES="$icd"
exec "$wgrad" verify --device swiftshader "$@"
