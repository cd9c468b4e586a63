#!/usr/bin/env bash
# Trains on two hosts, which are network namespaces of this machine with TCP between them, and
# compares the networks of 1, 2 and 4 processes.
#
#     benches/hosts.sh WGRAD DIRECTORY [OPTIONS OF wgrad train]
#
# With RATE in the environment, such as 1gbit, the link has no more than that in each direction.
# With SUMS, a program of `benches/ranks.rs`, the script runs it on 2 and 4 processes instead of
# training.
#
# WGRAD is a program that was built with the feature mpi. The script needs Open MPI, iproute2 and
# root. It exits with 1 if two networks differ. Without options it trains the shipped positions for
# one epoch on the CPU.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 WGRAD DIRECTORY [OPTIONS OF wgrad train]" >&2
    exit 2
fi
wgrad=$(realpath "$1")
directory=$2
shift 2
[ $# -gt 0 ] || set -- --device cpu --threads 1 --epochs 1 --tied
mkdir -p "$directory"

clean() {
    ip netns del wgrad1 2>/dev/null || true
    ip netns del wgrad2 2>/dev/null || true
}
trap clean EXIT
clean
for host in 1 2; do ip netns add "wgrad$host"; done
ip link add veth1 netns wgrad1 type veth peer name veth2 netns wgrad2
for host in 1 2; do
    ip -n "wgrad$host" addr add "10.77.0.$host/24" dev "veth$host"
    ip -n "wgrad$host" link set "veth$host" up
    ip -n "wgrad$host" link set lo up
    [ -z "${RATE:-}" ] || ip netns exec "wgrad$host" \
        tc qdisc add dev "veth$host" root tbf rate "$RATE" burst 1mb latency 50ms
done

# Takes the place of ssh: the arguments are options, a host and a command.
cat > "$directory/agent" <<'AGENT'
#!/usr/bin/env bash
while [ "${1#-}" != "$1" ]; do shift; done
host=wgrad${1##*.}
shift
exec nsenter --net="/run/netns/$host" unshare --uts sh -c "hostname $host; $*"
AGENT
chmod +x "$directory/agent"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Both hosts have the same cores, so Open MPI would bind the processes of both to the first.
tcp=(--bind-to none --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24
    --mca oob_tcp_if_include 10.77.0.0/24 --mca rmaps_base_oversubscribe 1
    --mca plm_rsh_agent "$(realpath "$directory/agent")" --mca orte_keep_fqdn_hostnames 1)
# Starts a command in processes on both hosts. Each host has a name of its own, by which mpirun tells
# them apart.
start() {
    local processes=$1 each=$(($1 / 2))
    shift
    nsenter --net=/run/netns/wgrad1 unshare --uts sh -c 'hostname wgrad1; exec "$@"' sh \
        mpirun "${tcp[@]}" --host "10.77.0.1:$each,10.77.0.2:$each" -n "$processes" "$@"
}

if [ -n "${SUMS:-}" ]; then
    start 2 "$SUMS"
    # Four processes that wait busily would keep two cores from the packets.
    start 4 --mca mpi_yield_when_idle 1 "$SUMS"
    exit
fi

"$wgrad" train --out "$directory/one" --shards 8 --quiet "$@"
for processes in 2 4; do
    start "$processes" "$wgrad" train --out "$directory/$processes" --shards 8 --quiet "$@"
    head -n 1 "$directory/$processes/log.jsonl" | grep -o '"ranks":\[[^]]*\]'
done
sums=$(sha256sum "$directory"/{one,2,4}/net.safetensors)
echo "$sums"
[ "$(cut -d' ' -f1 <<< "$sums" | sort -u | wc -l)" = 1 ]
