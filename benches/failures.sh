#!/usr/bin/env bash
# Lets trainings in two processes fail, and goes on with them in four.
#
#     benches/failures.sh WGRAD DIRECTORY [OPTIONS OF wgrad train]
#
# WGRAD is a program that was built with the feature mpi. The script needs Open MPI, and root for a
# disk of 8 MB. For each fault it prints the seconds until mpirun has ended, its exit status, the
# newest checkpoint, and the message; then it goes on with the run in four processes. It exits with
# 1 if a job does not fail, or if a network is not that of an undisturbed training. All trainings run
# on the CPU, on one thread per process.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 WGRAD DIRECTORY [OPTIONS OF wgrad train]" >&2
    exit 2
fi
wgrad=$(realpath "$1")
mkdir -p "$2"
directory=$(realpath "$2")
shift 2
[ $# -gt 0 ] || set -- --tied --epochs 10 --save-every 10
options=(--device cpu --threads 1 "$@" --keep 0 --quiet)
root=$(realpath "$(dirname "$0")/..")
data=$root/examples/data/chess_train.bin

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1
disk=$directory/disk
trap 'umount "$disk" 2> /dev/null || true' EXIT

# Options that begin a run in a directory.
begin() {
    echo train --data "$data" --validation "$root/examples/data/chess_validation.bin" \
        --shards 8 --out "$1" "${options[@]}"
}

# Waits until a run has this many checkpoints, or its job has ended.
checkpoints() {
    while kill -0 "$job" && [ "$(ls "$1/checkpoints" 2> /dev/null | wc -l)" -lt "$2" ]; do
        sleep 0.01
    done
}

# The processes that train in a directory, by their number.
processes() {
    pgrep -f -- "^$wgrad train .*--out $1 " | sort -n
}

# Tells how a job ended, goes on with its run, and compares the network.
report() {
    local name=$1 run=$2 begun=$3 job=$4 status=0
    wait "$job" || status=$?
    local seconds
    seconds=$(echo "$(date +%s.%N) $begun" | awk '{ printf "%.2f", $1 - $2 }')
    echo "$name: $seconds s, status $status"
    [ "$status" != 0 ] || failed=1
    echo "    newest checkpoint: $(ls "$run/checkpoints" 2> /dev/null | tail -n 1)"
    grep -E 'error:|to go on|noticed' "$directory/message" | head -n 3 | sed 's/^/    /' || true
    [ "$name" != "full disk" ] || mount -o remount,size=256m "$disk"
    if [ -d "$run" ]; then
        mpirun -n 4 "$wgrad" train --resume "$run" --device cpu --threads 1 --quiet
    else
        # shellcheck disable=SC2046
        mpirun -n 4 "$wgrad" $(begin "$run")
    fi
    cmp "$run/net.safetensors" "$directory/whole/net.safetensors" || failed=1
}

failed=0
# shellcheck disable=SC2046
"$wgrad" $(begin "$directory/whole")
faults=("SIGKILL of rank 1" "SIGKILL of rank 0" "SIGTERM to mpirun" "full disk" "other file")
for fault in "${faults[@]}"; do
    run=$directory/${fault// /-}
    if [ "$fault" = "full disk" ]; then
        mkdir -p "$disk"
        mount -t tmpfs -o size=8m none "$disk"
        run=$disk/run
    fi
    arguments=$(begin "$run")
    others=$arguments
    if [ "$fault" = "other file" ]; then
        # One of 200,000 positions is another one.
        other=$directory/other.bin
        { head -c 3200000 "$data"; head -c 32 "$data"; tail -c +3200033 "$data"; } > "$other"
        others=${arguments/$data/$other}
    fi
    # shellcheck disable=SC2086
    mpirun -n 1 "$wgrad" $arguments : -n 1 "$wgrad" $others > "$directory/message" 2>&1 &
    job=$!
    begun=$(date +%s.%N)
    case $fault in
        "other file" | "full disk") ;;
        *)
            checkpoints "$run" 3
            begun=$(date +%s.%N)
            ;;
    esac
    case $fault in
        *"rank 1") kill -KILL "$(processes "$run" | tail -n 1)" ;;
        *"rank 0") kill -KILL "$(processes "$run" | head -n 1)" ;;
        SIGTERM*) kill -TERM $job ;;
    esac
    report "$fault" "$run" "$begun" "$job"
done
[ $failed = 0 ]
