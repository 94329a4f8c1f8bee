#!/usr/bin/env bash
# VOC 2007 on one GPU: mAP of EfficientNet-Lite2 at 448 px, linear and ML-Decoder, two seeds each, and images/s at
# 224 and 448 px in fp16, with and without torch.compile, beside timm's parts. Meant to take less than 12 minutes;
# it has run on CPUs with SMOKE=1 only.
#
#   benchmarks/accuracy/gpu.sh copy                         where the photos are: one copy below 50 MB in OUT/photos
#   benchmarks/accuracy/gpu.sh                              where the GPU is; ends with the numbers
#
#   Paths are relative to the repository; in brackets what is taken by default:
#   OUT      folder of everything                                           (work_dirs/accuracy_gpu)
#   PYTHON   interpreter that has the package, .[backbone] and timm >= 1.0.31 (.venv/bin/python)
#   WORKERS  processes that load photos                                     (number of cores)
#   LR       learning rate of all four trainings                            (3e-4)
#   SMOKE=1  few small photos and steps, so that a CPU gets through in minutes; the numbers say nothing
set -euo pipefail
cd "$(dirname "$0")/../.."

OUT=$(realpath -m "${OUT:-work_dirs/accuracy_gpu}")
PYTHON=${PYTHON:-.venv/bin/python}
WORKERS=${WORKERS:-$(nproc)}
COPY=$OUT/photos/voc2007
export PYTHONUNBUFFERED=1

if [ "${1:-}" = copy ]; then
  exec "$PYTHON" tools/dataset_tools/resize.py \
    "${MLDECODER_SHARED_DATA:-../shared/data}/voc2007" "$COPY" --size 256 --quality 40
fi
export MLDECODER_SHARED_DATA=$OUT/photos

size=448 epochs=10 few=()
speed=(--sizes 224 448 --compile --batch 128 --steps 19 --epochs 4 --rounds 1 --workers "$WORKERS")
if [ -n "${SMOKE:-}" ]; then
  size=64 epochs=1 few=({train,test}_dataloader.dataset.indices=64)
  speed=(--sizes 64 --batch 8 --steps 2 --rounds 1)
fi

# The quick part first: should the time run out, trainings are missing, not the comparison.
"$PYTHON" -m benchmarks.accuracy.timm_speed --out "$OUT" --threads "$WORKERS" "${speed[@]}"

for seed in 0 1; do
  for head in linear mldecoder; do
    run=$OUT/${head}_lite2_${size}px_$seed
    "$PYTHON" tools/train.py "configs/voc2007/${head}_lite2.py" --work-dir "$run" --resume --no-validate --cfg-options \
      {train,test}_dataloader.dataset.data_root="$COPY" \
      train_dataloader.dataset.split=train test_dataloader.dataset.split=val \
      {train,test}_dataloader.dataset.pipeline.1.scale=$size {train,test}_dataloader.num_workers="$WORKERS" \
      train_cfg.max_epochs=$epochs optim_wrapper.optimizer.lr="${LR:-3e-4}" custom_hooks.1.decay=0.99 \
      default_hooks.checkpoint.save_best=None randomness.seed=$seed "${few[@]}"
    "$PYTHON" tools/test.py "$run/${head}_lite2.py" "$run/epoch_$epochs.pth" --work-dir "$run" | tee "$run/test.txt"
  done
done
grep -H coco/mAP "$OUT"/*/test.txt
