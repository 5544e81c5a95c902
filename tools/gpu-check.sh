#!/usr/bin/env bash
# Everything there is to learn from a GPU in one go, under eight minutes: the machine, the self-test, NVIDIA's checkers, the kernels'
# rates, PyTorch's rate. Needs the built program, no Rust and no git. A step that fails or runs out of time does not stop the others.
#
#   tools/gpu-check.sh [--dry-run] [--commit HASH] [--out DIR] PROGRAM
#
# Results go to DIR [$OUT, else gpu-check]: gpu-check.json, which holds all the others and how each step ended; summary.txt, selftest.json,
# bench-kernels.json and .csv, bench-step.json, torch.jsonl, and logs.tar.gz with one log a step, packed anew after each. To carry a smaller program: cargo build --release, then strip target/release/imagenet-engine.
# Afterwards: put the JSON into benches/records/GPU/, then doctor --kernels > benches/records/README.md.
# GPU_CHECK_SECONDS [470] bounds the whole; a step gets its limit or what is left.
set -u
dry_run='' out=${OUT:-gpu-check} commit=${IMAGENET_ENGINE_COMMIT:-unknown} program=''
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) dry_run=1 ;;
    --commit) commit=${2:?--commit needs a hash} && shift ;;
    --out) out=${2:?--out needs a folder} && shift ;;
    -*) echo "error: unknown flag $1" >&2 && exit 2 ;;
    *) program=$1 ;;
    esac
    shift
done
[ -n "$program" ] || { echo "usage: tools/gpu-check.sh [--dry-run] [--commit HASH] [--out DIR] PROGRAM" >&2; exit 2; }
tree=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "$dry_run" ]; then
    [ -x "$program" ] || { echo "error: $program cannot be run: build it, and carry it as a program" >&2; exit 2; }
    program=$(cd "$(dirname "$program")" && pwd)/$(basename "$program")
    mkdir -p "$out" || exit 2
    logs=$(mktemp -d)
    trap 'rm -rf "$logs"' EXIT
    : >"$out/summary.txt"
fi
export IMAGENET_ENGINE_COMMIT=$commit
total=${GPU_CHECK_SECONDS:-470}
SECONDS=0 bad=0

steps=''
tell() {
    printf '%-28s %-22s %4ss\n' "$@" | tee -a "$out/summary.txt"
    steps+="${steps:+,}{\"step\":\"$1\",\"outcome\":\"$2\",\"seconds\":$3}"
}

# or_null FILE: the JSON in it, or null.
or_null() { if [ -s "$1" ]; then cat "$1"; else echo null; fi; }

# Everything found, in one file.
combine() {
    {
        printf '{"commit":"%s","date":"%s","steps":[%s]' "$commit" "$(date -u +%Y-%m-%d)" "$steps"
        printf ',"weights_of_200_updates":[%s]' "$hashes"
        for part in selftest bench-kernels bench-step; do
            printf ',"%s":' "$part"
            or_null "$out/$part.json"
        done
        printf ',"torch":[%s]}\n' "$(paste -sd, "$out/torch.jsonl" 2>/dev/null)"
    } >"$out/gpu-check.json"
}

# step NAME LIMIT COMMAND...: its output to NAME.log, its outcome to the summary.
step() {
    local name=$1 limit=$2 begin=$SECONDS code outcome
    shift 2
    if [ -n "$dry_run" ]; then
        printf '%-28s %4ss  %s\n' "$name" "$limit" "$*"
        return
    fi
    local left=$((total - SECONDS))
    if [ "$left" -lt 5 ]; then
        tell "$name" "left out: no time" 0
        bad=$((bad + 1))
        return
    fi
    [ "$limit" -le "$left" ] || limit=$left
    {
        echo "\$ $*"
        timeout --kill-after=5 "$limit" "$@"
    } >"$logs/$name.log" 2>&1 </dev/null
    code=$?
    case $code in
    0) outcome=ok ;;
    124 | 137) outcome="timeout after ${limit}s" ;;
    *) outcome="failed: code $code" ;;
    esac
    [ $code -eq 0 ] || bad=$((bad + 1))
    tell "$name" "$outcome" $((SECONDS - begin))
    [ $code -eq 0 ] || tail -n 5 "$logs/$name.log" | cut -c 1-200 | sed 's/^/    /' | tee -a "$out/summary.txt"
    tar -czf "$out/logs.tar.gz" -C "$logs" .
}

# needs COMMAND NAME: whether the step can be; says so if not, which is no failure.
needs() {
    [ -n "$dry_run" ] || command -v "$1" >/dev/null || { tell "$2" "left out: no $1" 0; return 1; }
}

# checker TOOL LIMIT SUBJECT...: compute-sanitizer over parts of the self-test. It exits with 9 on its findings.
checker() {
    local tool=$1 limit=$2 subject
    shift 2
    needs compute-sanitizer "$tool" || return
    for subject in "$@"; do
        step "$tool-$subject" "$limit" compute-sanitizer --tool "$tool" --error-exitcode 9 --print-limit 20 \
            "$program" selftest --device cuda --only "$subject"
    done
}

needs nvidia-smi machine && step machine 10 nvidia-smi -q
step doctor 10 "$program" doctor
step selftest 70 "$program" selftest --device cuda --json "$out/selftest.json"
step bench-kernels 50 "$program" bench kernels --device cuda --json "$out/bench-kernels.json" --csv "$out/bench-kernels.csv"
step bench-step 35 "$program" bench step --device cuda --batch-size 256 --steps 10 --data made --json "$out/bench-step.json"
step train 30 "$program" train --data demo --device cuda --epochs 3 --output "${logs:-LOGS}/run" --progress plain
hashes=''
for run in 1 2; do # two runs must end in the same bytes
    step repeat-$run 15 "$program" train --data demo --device cuda --max-steps 200 --output "${logs:-LOGS}/repeat-$run" --progress plain
    if [ -z "$dry_run" ]; then
        hash=$(sha256sum "$logs/repeat-$run/model.safetensors" 2>/dev/null | cut -d ' ' -f 1)
        hashes+="${hashes:+,}\"$hash\""
    fi
done
if [ -z "$dry_run" ]; then
    if [ -n "$hash" ] && [ "$hashes" = "\"$hash\",\"$hash\"" ]; then
        tell repeatable ok 0
    else
        tell repeatable "failed: other bytes" 0
        bad=$((bad + 1))
    fi
fi
torch_step() {
    local name=$1 limit=$2
    shift 2
    # shellcheck disable=SC2016 # for the inner shell
    step "$name" "$limit" bash -o pipefail -c 'out=$1; shift; "$@" | tee -a "$out"' _ "$out/torch.jsonl" \
        python3 "$tree/benches/rivals/torch_step.py" --device cuda --precision bf16 --batch-size 256 --steps 20 "$@"
}
if [ -n "$dry_run" ] || python3 -c 'import torch, torchvision' 2>/dev/null; then
    torch_step torch 30
    torch_step torch-compiled 70 --compile
else
    tell torch "left out: no PyTorch" 0
fi
checker memcheck 10 elementwise norm pool loss augment gemm conv
checker racecheck 10 norm loss gemm conv
checker initcheck 10 norm conv
[ -n "$dry_run" ] && exit 0
tell total "$bad not ok" $SECONDS
combine
[ "$bad" -eq 0 ]
