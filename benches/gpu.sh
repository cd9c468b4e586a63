#!/usr/bin/env bash
# Measures wgrad on a GPU, part by part, and writes a dated section for RESULTS.md.
#
#     cargo build --release --features cli
#     benches/gpu.sh vulkan:NVIDIA DIRECTORY                 every part, then the section
#     benches/gpu.sh vulkan:NVIDIA DIRECTORY verify plain    these parts alone
#
# The first argument is what `--device` takes. Each part takes at most ten minutes on a GPU. A part
# that has ended is skipped, so the same command goes on after an interruption. To repeat a part,
# delete DIRECTORY/PART.txt. DIRECTORY/section.md has the output of all parts, with the adapter, its
# driver, the date and the commands.
#
#   WGRAD         the program; target/release/wgrad by default
#   OTHER         another build; with it the part `builds` measures both in turns
#   DATA          positions; examples/data/chess_train.bin by default
#   PYTHON        a Python with PyTorch for this GPU, for the part `torch`; python3 by default
#   SECONDS_EACH  the length of a measurement; 1 by default
#
# The exit status is 0 if every part ended well, 1 if one failed, and 2 for wrong usage. A part that
# fails keeps its output in DIRECTORY/PART.failed.
set -u
all="verify bits plain large buckets heads feed variants tune builds torch"

if [ $# -lt 2 ]; then
    echo "usage: $0 DEVICE DIRECTORY [PART]...; $all" >&2
    exit 2
fi
device=$1
out=$2
shift 2
wgrad=${WGRAD:-target/release/wgrad}
other=${OTHER:-}
data=${DATA:-examples/data/chess_train.bin}
python=${PYTHON:-python3}
seconds=${SECONDS_EACH:-1}
rounds=5
peers=$(cd "$(dirname "$0")" && pwd)/peers

if ! command -v "$wgrad" > /dev/null; then
    echo "$0: $wgrad is not a program; cargo build --release --features cli makes it" >&2
    exit 2
fi
mkdir -p "$out/cache" || exit 2
# What the user has tuned does not change a result.
XDG_CACHE_HOME=$(cd "$out/cache" && pwd)
export XDG_CACHE_HOME

# Prints a command, and runs it.
run() {
    echo "\$ $*"
    "$@"
}

bench() {
    run "$wgrad" bench --device "$device" --tied --data "$data" --seconds "$seconds" "$@"
}

# Positions per second of a build: the program, then its options.
speed() {
    "$1" bench --device "$device" --tied --data "$data" --seconds "$seconds" --json "${@:2}" |
        sed -n 's/.*"positions_per_second":\([0-9.]*\).*/\1/p'
}

# The medians of two programs in turns, and the median, the least and the largest of the ratios,
# first ÷ second. The arguments are two programs, two options that only the first or only the second
# gets, and the options of both.
in_turns() {
    local first=$1 second=$2 of_first=$3 of_second=$4 pairs="" a b
    shift 4
    for _ in $(seq $rounds); do
        # shellcheck disable=SC2086 # several options in one word
        a=$(speed "$first" "$@" $of_first) && b=$(speed "$second" "$@" $of_second) || return 1
        if [ -z "$a" ] || [ -z "$b" ]; then
            echo "no speed of $first or $second: $*" >&2
            return 1
        fi
        pairs="$pairs$a $b"$'\n'
    done
    printf '%s' "$pairs" | awk -v what="$*" '
        { a[NR] = $1; b[NR] = $2; q[NR] = $1 / $2 }
        function middle(v, i, j, t) {
            for (i = 2; i <= NR; i++)
                for (j = i; j > 1 && v[j - 1] > v[j]; j--) {
                    t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
                }
            return v[int((NR + 1) / 2)]
        }
        END {
            ratio = middle(q)
            printf "%-58s %11.0f %11.0f  %.3f [%.3f to %.3f]\n",
                what, middle(a), middle(b), ratio, q[1], q[NR]
        }'
}

verify() {
    run "$wgrad" verify --device "$device"
}

# The same training twice gives the same file.
bits() {
    local form first second options
    for form in "--hidden 128 --tied" \
        "--hidden 256 --activation screlu --output-buckets material:8" \
        "--hidden 256 --tied --pairwise --layers 16:dual,32:crelu --output-buckets material:8"; do
        options="--device $device --data $data --batch-size 4096 --epochs 1 --seed 7 --quiet"
        for run in first second; do
            rm -rf "$out/$run"
            # shellcheck disable=SC2086
            "$wgrad" train $options $form --out "$out/$run" || return 1
        done
        first=$(sha256sum < "$out/first/net.safetensors")
        second=$(sha256sum < "$out/second/net.safetensors")
        rm -rf "$out/first" "$out/second"
        if [ "$first" != "$second" ]; then
            echo "$form: two trainings differ: $first and $second"
            return 1
        fi
        echo "$form: equal, ${first%% *}"
    done
}

# Plain networks of one batch size.
grid() {
    local hidden activation
    for hidden in 128 256 512 1024 2048; do
        for activation in crelu screlu; do
            bench --hidden $hidden --batch-size "$1" --activation $activation --kernels || return 1
        done
    done
}

plain() { grid 16384; }
large() { grid 65536; }

buckets() {
    local hidden kings=0,1,2,3,4,4,5,5,6,6,6,6,7,7,7,7,8,8,8,8,8,8,8,8,9,9,9,9,9,9,9,9
    local form="--batch-size 16384 --activation screlu --output-buckets material:8 --kernels"
    for hidden in 256 512 1024; do
        # shellcheck disable=SC2086
        bench --hidden $hidden $form || return 1
        # shellcheck disable=SC2086
        bench --hidden $hidden $form --factorise --inputs king-buckets-mirrored \
            --buckets $kings || return 1
    done
}

heads() {
    local hidden half form="--pairwise --layers 16:crelu,32:crelu --output-buckets material:8"
    for hidden in 128 256 512 1024 2048; do
        for half in "" --half; do
            # shellcheck disable=SC2086
            bench --hidden $hidden --batch-size 16384 $form --kernels $half || return 1
        done
    done
}

# Records that the GPU decodes ÷ index lists.
feed() {
    local hidden batch
    echo "positions per second from records, from lists, ratio"
    for batch in 16384 65536; do
        for hidden in 128 256 1024; do
            in_turns "$wgrad" "$wgrad" "--feed records" "--feed lists" \
                --hidden $hidden --batch-size $batch || return 1
        done
    done
}

# Each variant ÷ what is taken without an option.
variants() {
    local hidden activation option
    echo "positions per second with the option, without it, ratio"
    for hidden in 128 256 1024; do
        for activation in crelu screlu; do
            for option in "--lanes 16" "--lanes 32" "--submit 1" "--half-weights" "--half"; do
                [ "$option $activation" = "--half crelu" ] && continue
                echo "$option"
                in_turns "$wgrad" "$wgrad" "$option" "" --hidden $hidden --activation $activation \
                    --batch-size 16384 || return 1
            done
        done
    done
}

# What `wgrad tune` chooses.
tune() {
    local hidden form
    for hidden in 128 256 1024; do
        for form in "" "--activation screlu --output-buckets material:8" \
            "--pairwise --layers 16:dual,32:crelu --output-buckets material:8"; do
            # shellcheck disable=SC2086
            run "$wgrad" tune --device "$device" --tied --data "$data" --seconds "$seconds" \
                --file "$out/tuning.json" --hidden $hidden --batch-size 16384 $form || return 1
        done
    done
}

# This build ÷ the other build.
builds() {
    local hidden activation
    if [ -z "$other" ]; then
        echo "no other build: OTHER is not set"
        return 0
    fi
    echo "positions per second of this build, of the other build, ratio"
    for hidden in 128 256 1024; do
        for activation in crelu screlu; do
            in_turns "$wgrad" "$other" "" "" --hidden $hidden --activation $activation \
                --batch-size 16384 || return 1
        done
    done
}

torch() {
    run "$python" "$peers/step.py" cuda --wgrad "$wgrad" --device "$device" --seconds 0.5 \
        --rounds 3 --no-cpu --tied --optimizer adamw --hidden 256 1024 --batch 16384
}

status=0
for part in "${@:-$all}"; do
    for part in $part; do
        case " $all " in
            *" $part "*) ;;
            *)
                echo "$0: no part $part; expected one of: $all" >&2
                exit 2
                ;;
        esac
        if [ -e "$out/$part.txt" ]; then
            echo "$part: done before"
            continue
        fi
        echo "$part: begins at $(date +%T)"
        if "$part" > "$out/$part.part" 2>&1; then
            mv "$out/$part.part" "$out/$part.txt"
        else
            mv "$out/$part.part" "$out/$part.failed"
            echo "$part: FAILED, see $out/$part.failed" >&2
            tail -3 "$out/$part.failed" >&2
            status=1
        fi
    done
done

{
    echo "## $(date +%F), $device"
    echo
    echo '```text'
    "$wgrad" --version
    "$wgrad" adapters
    echo '```'
    for part in $all; do
        [ -e "$out/$part.txt" ] || continue
        printf '\n### %s\n\n```text\n' "$part"
        cat "$out/$part.txt"
        echo '```'
    done
} > "$out/section.part" && mv "$out/section.part" "$out/section.md"
echo "$out/section.md"
exit $status
