#!/usr/bin/env bash
# Every schedule with every optimizer on one small dataset: the figures behind docs/schedules.md.
#
#   tools/schedule_grid.sh ENGINE TRAIN VAL OUT.csv [SEED...]
#
# ENGINE is the program, TRAIN and VAL are packed folders. Runs already in OUT.csv are not repeated, so it can be stopped at any time.
# ONLY='cosine/sgd step/lion' limits it to those pairs. ResNet-18, 12 epochs, batch 64, training crops of 40 and validation at 48 of
# pictures packed with --resize 48. Results do not depend on THREADS.
set -euo pipefail
engine=$1 train=$2 val=$3 out=$4
shift 4
seeds=("${@:-1}")
[ -s "$out" ] || echo "sched,opt,lr,wd,seed,top1,top5,val_loss,images_per_s" >"$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The rate that suits the optimizer under cosine, its weight decay.
rate() { case $1 in sgd) echo 0.05 ;; adamw) echo 1e-3 ;; lion) echo 2e-4 ;; esac; }
decay() { case $1 in sgd) echo 5e-5 ;; adamw) echo 0.05 ;; lion) echo 0.5 ;; esac; }
# One-cycle lives on a high peak, a constant rate on a low one.
factor() { case $1 in onecycle) echo 2 ;; constant) echo 0.2 ;; *) echo 1 ;; esac; }
flags() {
    case $1 in
    step) echo "--warmup-epochs 1 --decay-epochs 4" ;;
    multistep) echo "--warmup-epochs 1 --decay-milestones 7,10" ;;
    onecycle) ;;
    *) echo "--warmup-epochs 1" ;;
    esac
}

one() {
    local sched=$1 opt=$2 seed=$3 lr wd run="$work/run"
    lr=$(awk -v r="$(rate "$opt")" -v f="$(factor "$sched")" 'BEGIN { printf "%g", r * f }')
    wd=$(decay "$opt")
    grep -q "^$sched,$opt,$lr,$wd,$seed," "$out" && return
    rm -rf "$run"
    # shellcheck disable=SC2046
    "$engine" train --data "$train" --val "$val" --model resnet18 --epochs 12 --batch-size 64 --sched "$sched" --opt "$opt" \
        --lr "$lr" --wd "$wd" $(flags "$sched") --train-crop-size 40 --val-crop-size 48 --rrc-scale 0.35,1 --val-interval 12 \
        --threads "${THREADS:-2}" --seed "$seed" --output "$run" --progress none >/dev/null
    python3 - "$run/metrics.jsonl" "$sched,$opt,$lr,$wd,$seed" >>"$out" <<'PY'
import json, sys
events = [json.loads(line) for line in open(sys.argv[1])]
score = [e for e in events if e["event"] == "eval"][-1]
print(f'{sys.argv[2]},{score["top1"]},{score["top5"]},{score["loss"]:.4f},{events[-1]["images_per_s"]:.1f}')
PY
    tail -n 1 "$out"
}

for seed in "${seeds[@]}"; do
    for sched in cosine onecycle linear step constant multistep sgdr poly; do
        for opt in sgd adamw lion; do
            [ -z "${ONLY:-}" ] || [[ " $ONLY " == *" $sched/$opt "* ]] || continue
            one "$sched" "$opt" "$seed"
        done
    done
done
