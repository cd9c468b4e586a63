#!/usr/bin/env bash
# The speed of one training on the CPU in 1, 2, 4, ... processes of this machine, which share its
# cores evenly.
#
#     benches/scaling.sh WGRAD DIRECTORY [OPTIONS OF wgrad train]
#
# WGRAD is a program that was built with the feature mpi. The script needs Open MPI. `alone` is a
# training without shards. The others have shards, so they train the same network. All take turns;
# each line has millions of positions per second as the median of the turns, the lowest and the
# highest, and the median over the turns of the quotient with one process. The environment can set
# TURNS (5), PROCESSES (1 2 4), SHARDS (8), and THREADS of each process instead of an even share.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 WGRAD DIRECTORY [OPTIONS OF wgrad train]" >&2
    exit 2
fi
wgrad=$1
directory=$2
shift 2
[ $# -gt 0 ] ||
    set -- --tied --hidden 256 --batch-size 16384 --superbatches 1 --batches-per-superbatch 400
mkdir -p "$directory"
cores=$(nproc)
read -ra counts <<< "${PROCESSES:-1 2 4}"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1

# Appends the speed of one training to the file of its name.
speed() {
    local name=$1
    shift
    rm -rf "$directory/run"
    "$@" --out "$directory/run" --device cpu --quiet --json "${options[@]}" |
        sed -n 's/.*"positions_per_second":\([0-9.]*\).*/\1/p' >> "$directory/$name"
}

options=("$@")
rm -f "$directory"/alone "$directory"/processes-*
for _ in $(seq "${TURNS:-5}"); do
    speed alone "$wgrad" train --threads "$cores"
    for count in "${counts[@]}"; do
        threads=${THREADS:-$((cores > count ? cores / count : 1))}
        # Without this Open MPI gives each process one core, and not the cores of its threads.
        speed "processes-$count" mpirun --bind-to none -n "$count" \
            "$wgrad" train --shards "${SHARDS:-8}" --threads "$threads"
    done
done

median() {
    sort -g | awk '{ all[NR] = $1 }
        END { printf "%.3f [%.3f, %.3f]\n", all[int((NR + 1) / 2)], all[1], all[NR] }'
}
for name in alone $(printf 'processes-%s ' "${counts[@]}"); do
    millions=$(awk '{ print $1 / 1e6 }' "$directory/$name" | median)
    ratio=$(paste "$directory/$name" "$directory/processes-1" | awk '{ print $1 / $2 }' | median)
    echo "$name: $millions M positions per second, ratio $ratio"
done
