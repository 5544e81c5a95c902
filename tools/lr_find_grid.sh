#!/usr/bin/env bash
# What lr-find suggests, beside a grid of seven rates: the table of docs/schedules-and-optimizers.md.
#
#   tools/lr_find_grid.sh ENGINE TRAIN VAL OUT.csv [SEED...]
#
# ENGINE is the program, TRAIN and VAL are packed folders. For SGD and AdamW and each seed: the range test, a training of 3 epochs at its
# suggestion, and one at each rate of the grid. ResNet-18, batch 64, training crops of 40 and validation at 48 of images packed with
# --resize 64, schedule, warm-up and weight decay as they are by default. Runs already in OUT.csv are not repeated, so it can be stopped at
# any time; points of the range tests lie beside it as OUT-OPT-SEED.json. Results do not depend on THREADS.
set -euo pipefail
engine=$1 train=$2 val=$3 out=$4
shift 4
seeds=("${@:-1}")
[ -s "$out" ] || echo "opt,seed,kind,lr,top1,top5,val_loss" >"$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
common=(--data "$train" --model resnet18 --batch-size 64 --train-crop-size 40 --threads "${THREADS:-2}")

grid() {
    case $1 in
    sgd) echo 0.005 0.01 0.025 0.05 0.1 0.25 0.5 ;;
    adamw) echo 1e-4 2.5e-4 5e-4 1e-3 2.5e-3 5e-3 1e-2 ;;
    esac
}

# OPT SEED KIND LR: trains, and adds a line.
one() {
    local opt=$1 seed=$2 kind=$3 lr=$4 run="$work/run"
    grep -q "^$opt,$seed,$kind,$lr," "$out" && return
    rm -rf "$run"
    "$engine" train "${common[@]}" --val "$val" --val-crop-size 48 --epochs 3 --val-interval 3 --opt "$opt" --lr "$lr" --seed "$seed" \
        --output "$run" --progress none >/dev/null 2>"$work/err" || { tail -n 3 "$work/err"; echo "$opt,$seed,$kind,$lr,diverged,," >>"$out"; return; }
    python3 - "$run/metrics.jsonl" "$opt,$seed,$kind,$lr" >>"$out" <<'PY'
import json, sys
score = [e for e in map(json.loads, open(sys.argv[1])) if e["event"] == "eval"][-1]
print(f'{sys.argv[2]},{score["top1"]},{score["top5"]},{score["loss"]:.4f}')
PY
    tail -n 1 "$out"
}

for seed in "${seeds[@]}"; do
    for opt in sgd adamw; do
        found="${out%.csv}-$opt-$seed.json"
        [ -s "$found" ] || "$engine" lr-find "${common[@]}" --opt "$opt" --seed "$seed" --json "$found" --progress none
        one "$opt" "$seed" suggested "$(python3 -c 'import json, sys; print("%.3g" % json.load(open(sys.argv[1]))["suggested_lr"])' "$found")"
        for lr in $(grid "$opt"); do one "$opt" "$seed" grid "$lr"; done
    done
done
