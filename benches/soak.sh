#!/usr/bin/env bash
# Trains for a long time and watches what the process holds.
#
#     cargo build --release --features cli
#     benches/soak.sh cpu DIRECTORY                          an hour
#     benches/soak.sh vulkan:llvmpipe DIRECTORY 600          ten minutes
#
# The training is a small one with small batches, so it takes many steps, checkpoints, and
# validations. Each minute adds a line to DIRECTORY/soak.tsv: the seconds since the start, the
# resident memory in KiB, open descriptors, threads, the bytes of the log, steps, and positions per
# second of processor time since the line before. Processor time does not depend on what else runs.
#
#   WGRAD      the program; target/release/wgrad by default
#   ARGUMENTS  more options for `wgrad train`, separated by spaces
#
# Output: the lines at 5 minutes (a fifth of the time if that is shorter) and at the end, and how
# the training ended on SIGTERM (with status 130, after it saved itself). The exit status is 1 if
# the training failed, if it did not save itself on SIGTERM, or if after the earlier line memory
# grew by more than 5%, or a descriptor or a thread was added; 2 for wrong usage.
set -euo pipefail

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: $0 DEVICE DIRECTORY [SECONDS]" >&2
    exit 2
fi
device=$1
out=$2
duration=${3:-3600}
wgrad=${WGRAD:-target/release/wgrad}
batch=256
every=60
if [ "$duration" -lt 300 ]; then every=$((duration / 5)); fi
if [ "$every" -lt 1 ]; then
    echo "$0: $duration seconds are too few; at least 5" >&2
    exit 2
fi
if ! command -v "$wgrad" > /dev/null; then
    echo "$0: $wgrad is not a program; cargo build --release --features cli makes it" >&2
    exit 2
fi

mkdir -p "$out"
rm -rf "$out/run"
# shellcheck disable=SC2086
"$wgrad" train --device "$device" --out "$out/run" --tied --hidden 32 --batch-size $batch \
    --epochs 100000000 --validate-every 100000 ${ARGUMENTS:-} > "$out/train.out" 2>&1 &
process=$!
trap 'kill $process 2> /dev/null || true' EXIT

steps() { tail -n 20 "$out/run/log.jsonl" | grep -o '"step":[0-9]*' | tail -n 1 | cut -d : -f 2; }
processor_ticks() { cut -d ')' -f 2 "/proc/$process/stat" | awk '{ print $12 + $13 }'; }
field() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$process/status"; }

hertz=$(getconf CLK_TCK)
table=$out/soak.tsv
printf 'seconds\tmemory_kib\tdescriptors\tthreads\tlog_bytes\tsteps\tpositions_per_second\n' > "$table"
start=$(date +%s)
steps_before=0
ticks_before=0
while [ $(($(date +%s) - start)) -lt "$duration" ]; do
    sleep "$every"
    if ! kill -0 $process 2> /dev/null; then break; fi
    steps=$(steps)
    ticks=$(processor_ticks)
    speed=$(((steps - steps_before) * batch * hertz / (ticks - ticks_before + 1)))
    steps_before=$steps
    ticks_before=$ticks
    descriptors=$(find "/proc/$process/fd" -mindepth 1 | wc -l)
    log=$(stat -c %s "$out/run/log.jsonl")
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' $(($(date +%s) - start)) "$(field VmRSS)" \
        "$descriptors" "$(field Threads)" "$log" "$steps" "$speed" >> "$table"
done

kill -TERM $process 2> /dev/null || true
status=0
wait $process || status=$?
trap - EXIT
tail -n 2 "$out/train.out"
if ! tail -n 1 "$out/run/log.jsonl" | grep -q '"reason":"interrupted"'; then status=unsaved; fi

awk -v status="$status" -v early="$((duration < 1500 ? duration / 5 : 300))" '
    NR == 1 { print; next }
    !first && $1 >= early { first = 1; print; memory = $2; descriptors = $3; threads = $4 }
    { last = $0; m = $2; d = $3; t = $4 }
    END {
        print last
        if (m > 1.05 * memory) { print "memory grew from", memory, "to", m, "KiB"; failed = 1 }
        if (d > descriptors) { print "descriptors grew from", descriptors, "to", d; failed = 1 }
        if (t > threads) { print "threads grew from", threads, "to", t; failed = 1 }
        if (status != 130) { print "the training ended with status", status; failed = 1 }
        exit failed
    }' "$table"
