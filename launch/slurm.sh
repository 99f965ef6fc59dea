#!/usr/bin/env bash
# Trains on the nodes of a Slurm allocation: starts a Ray cluster there, runs the command on it, and ends what it
# started and nothing else.
#
#   sbatch --nodes 4 --cpus-per-task 16 --time 8:00:00 launch/slurm.sh \
#     train mpo --env control:walker:walk --actors 60 --steps 10000000 --run-dir runs/walker
#
# Give it from a directory that all nodes share, with the project's environment activated. What Slurm is asked for goes
# before the script, what acme-agents is told after it. The job's output is the command's; Ray's own is in
# acme-agents-JOB-ray.log, which stays there only where something failed.
#
# Two minutes before its time is over the run is stopped with a checkpoint and the job queued again, where it goes on;
# `--no-requeue` leaves it at the checkpoint. When Slurm queues the job again for a reason of its own, it goes on from the
# newest checkpoint, too. To stop a job with a checkpoint: scancel --batch --signal=TERM JOB.
#SBATCH --job-name=acme-agents
#SBATCH --output=acme-agents-%j.out
#SBATCH --open-mode=append
#SBATCH --ntasks-per-node=1
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --no-kill
set -euo pipefail

fail() {
  echo "error: $*" >&2
  exit 2
}

[ -n "${SLURM_JOB_ID:-}" ] || fail "this is a batch script: sbatch [OPTIONS OF SLURM] launch/slurm.sh train AGENT ..."
[ "${1:-}" = train ] || fail "give it what acme-agents is to do: sbatch launch/slurm.sh train AGENT ..."
run_dir=""
for ((i = 1; i < $#; i++)); do
  if [ "${!i}" = --run-dir ]; then j=$((i + 1)) && run_dir=${!j}; fi
done
[ -n "$run_dir" ] || fail "a job that may be queued again needs a run directory to find: give --run-dir."
python=$(type -P python3 || true)
if ! "$python" -c 'import acme_agents.launch, ray' 2>/dev/null; then python=$PWD/.venv/bin/python; fi
"$python" -c 'import acme_agents.launch, ray' 2>/dev/null || fail "activate the project's environment, or submit from its directory."

# A job that was queued again continues its run; one that was stopped before there was a checkpoint begins again.
resume=()
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then
  if compgen -G "$run_dir/checkpoints/*.npz" >/dev/null; then
    resume=(--resume)
  elif [ -e "$run_dir/config.json" ]; then
    mv "$run_dir" "$run_dir-before-restart-$SLURM_RESTART_COUNT"
  fi
fi

# What a node does: Ray, as long as the job step lives. The first one is the head, from which the step was launched.
node() {
  trap : TERM # Ray ends, and then this does.
  trap 'rm -rf "$directory"' EXIT
  mkdir -p "$directory"
  local head=$SLURM_LAUNCH_NODE_IPADDR
  local ray=("$python" -m ray.scripts.scripts start --block --disable-usage-stats --num-cpus "$SLURM_CPUS_ON_NODE"
    --num-gpus "${SLURM_GPUS_ON_NODE:-0}" --object-store-memory 100000000)
  if [ "$SLURM_NODEID" = 0 ]; then
    "${ray[@]}" --head --node-ip-address "$head" --port "$port" --include-dashboard false --temp-dir "$directory"
  else
    until (exec 3<>"/dev/tcp/$head/$port") 2>/dev/null; do sleep 0.5; done
    local own
    own=$("$python" -c 'import socket, sys
print(socket.create_connection((sys.argv[1], int(sys.argv[2]))).getsockname()[0])' "$head" "$port")
    "${ray[@]}" --node-ip-address "$own" --address "$head:$port"
  fi
}
export -f node
export python
scratch=${TMPDIR:-/tmp}
[ ${#scratch} -le 32 ] || scratch=/tmp                # sockets go there, whose paths must be short
export directory=$scratch/acme-agents-$SLURM_JOB_ID   # of each node for itself
export RAY_health_check_failure_threshold=8           # of 13 s each: a host that is cut off for half a minute is not lost
export RAY_kill_child_processes_on_worker_exit=false  # so that the learner has time for a checkpoint when Ray is ended
export RAY_worker_niceness=0                          # the node is the job's: Ray's 15 is for a machine that others use
export port=$((6400 + SLURM_JOB_ID % 3000))           # below Ray's own, and seldom another job's

driver="" stopping=""
forward() { # to the command, which then ends in order
  stopping=$1
  if [ -n "$driver" ]; then kill -s "$1" "$driver" 2>/dev/null || true; fi
}
trap 'forward USR1' USR1
trap 'forward TERM' TERM

head=$(srun --nodes 1 --ntasks 1 --nodelist "$SLURMD_NODENAME" printenv SLURM_LAUNCH_NODE_IPADDR)
log=acme-agents-$SLURM_JOB_ID-ray.log
srun --no-kill --kill-on-bad-exit=0 --wait=0 bash -c node >"$log" 2>&1 &
ray=$!
end_ray() { # the second step of this job, on all nodes
  scancel --signal=TERM "$SLURM_JOB_ID.1" 2>/dev/null || true
  wait "$ray" 2>/dev/null || true
}
trap end_ray EXIT
until [ -S "$directory/session_latest/sockets/raylet" ]; do
  [ -z "$stopping" ] || exit 0
  kill -0 "$ray" 2>/dev/null || fail "Ray did not start: $PWD/$log says why."
  sleep 0.5
done

"$python" -m acme_agents.launch.main "$@" ${resume[@]+"${resume[@]}"} --launcher ray --address "$head:$port" &
driver=$!
[ -z "$stopping" ] || forward "$stopping"
code=0
while :; do # A signal ends a wait, too.
  wait "$driver" && code=0 || code=$?
  kill -0 "$driver" 2>/dev/null || break
done

end_ray
trap - EXIT
[ "$code" != 0 ] || rm -f "$log"
if [ "$stopping" = USR1 ] && [ "$code" = 0 ]; then
  echo "The time is over; the job is queued again, to go on from the checkpoint."
  scontrol requeue "$SLURM_JOB_ID" || true
fi
exit "$code"
