#!/bin/bash
# A Ray cluster for the time of one Slurm job, which runs the command given:
#
#   sbatch cluster/slurm.sh python -m jobs.mine --config jobs/mine.yaml --output /shared/mined
#
# Submit it from the project folder, on a file system that all machines share, with `ray` on the PATH (a virtual
# environment that is active is handed on). The exit code is that of the command; after 1 (incomplete) or 130
# (interrupted, also when the time was up) the same line carries on. `ray symmetric-run` would be shorter, but exits
# with 0 when Ray does not start.
#
#SBATCH --job-name=ovseg
#SBATCH --output=ovseg-%j.log
#SBATCH --open-mode=append
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
# A machine that fails is missed, and the job goes on with the others.
#SBATCH --no-kill
# After preemption or the loss of the first machine the job starts again, and carries on.
#SBATCH --requeue
# Two minutes before the time is up, to this script alone.
#SBATCH --signal=B:TERM@120
set -euo pipefail

if [ $# -eq 0 ]; then
    echo "usage: sbatch cluster/slurm.sh COMMAND …" >&2
    exit 2
fi

# The token is made once and lies in the home directory, which the machines share.
export RAY_AUTH_MODE=token
# Ray would wait for seven minutes for the answer of a machine that has gone without a word.
export RAY_grpc_client_keepalive_time_ms=30000 RAY_grpc_client_keepalive_timeout_ms=30000
# Ray would wait for half a minute before it goes; when the command has ended there is nothing to wait for.
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0
ray get-auth-token --generate > /dev/null 2>&1

# The first address of this machine; where there are several networks, set the one that Ray shall use.
head_ip=${HEAD_IP:-$(hostname -I | cut --delimiter=' ' --fields=1)}
port=${HEAD_PORT:-6379}
address=$head_ip:$port
started=()

stop_ray() {
    kill "${started[@]}" 2> /dev/null || true
    wait "${started[@]}" || true
}
trap stop_ray EXIT

# A folder of its own, as /tmp/ray may belong to somebody else's Ray.
ray start --head --block --disable-usage-stats --node-ip-address="$head_ip" --port="$port" \
    --ray-client-server-port="$((port + 1))" --temp-dir="/tmp/ray-$SLURM_JOB_ID" > "ray-head-$SLURM_JOB_ID.log" 2>&1 &
started+=($!)
until ray health-check --address "$address" > /dev/null 2>&1; do
    if ! kill -0 "${started[0]}" 2> /dev/null; then
        echo "Ray did not start: see ray-head-$SLURM_JOB_ID.log" >&2
        exit 1
    fi
    sleep 1
done

# One step for each of the other machines, so that none takes another with it.
for node in $(scontrol show hostnames "$SLURM_JOB_NODELIST" | tail --lines=+2); do
    srun --nodes=1 --ntasks=1 --nodelist="$node" --cpus-per-task="$SLURM_CPUS_ON_NODE" --cpu-bind=none \
        --output="ray-$node-$SLURM_JOB_ID.log" \
        ray start --block --disable-usage-stats --address="$address" &
    started+=($!)
done

RAY_ADDRESS=$address python cluster/wait_for.py --nodes "$SLURM_JOB_NUM_NODES" --minutes 10 -- "$@" &
job=$!
signalled=
trap 'signalled=yes; kill -TERM "$job" 2> /dev/null || true' TERM INT
while true; do
    code=0
    wait "$job" || code=$?
    # A signal ends `wait` before the job has ended.
    if [ -z "$signalled" ]; then
        exit "$code"
    fi
    signalled=
done
