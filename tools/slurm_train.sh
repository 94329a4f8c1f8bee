#!/usr/bin/env bash
# Train under Slurm, one task for each GPU.
#   bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
# GPUS (8) tasks, GPUS_PER_NODE (8) on each node, CPUS_PER_TASK (5), SRUN_ARGS for more of srun's.
# GPUS_PER_NODE=0 asks for no GPU. PYTHON is the interpreter, python by default.
set -eo pipefail

if [ $# -lt 4 ]; then
    echo "usage: bash $0 PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]" >&2
    exit 2
fi
PARTITION=$1
JOB_NAME=$2
CONFIG=$3
WORK_DIR=$4
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}

PLACEMENT=()
if [ "$GPUS_PER_NODE" -gt 0 ]; then
    PLACEMENT=(--gres="gpu:$GPUS_PER_NODE" --ntasks-per-node="$GPUS_PER_NODE")
fi
read -r -a EXTRA <<< "${SRUN_ARGS:-}"

set -x
exec srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    --ntasks="$GPUS" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=0 --wait=60 \
    "${PLACEMENT[@]}" "${EXTRA[@]}" \
    "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$CONFIG" --work-dir="$WORK_DIR" --launcher slurm "${@:5}"
