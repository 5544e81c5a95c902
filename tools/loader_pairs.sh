#!/usr/bin/env bash
# Loading and packing against their rivals, in pairs on the same pictures, one thread each: the medians of the ratios count (last lines),
# of pictures a second of CPU time, which others on the machine disturb least.
#   tools/loader_pairs.sh ENGINE PYTHON PICTURES [PAIRS]
# PICTURES is an ImageFolder tree of some hundred pictures; PYTHON has torch, torchvision and
# Pillow; webdataset and ffcv take part where it has them. Prints CSV: what, ours, theirs, ratio, one line a pair.
set -euo pipefail
engine=$(realpath "$1") python=$2 pictures=$(realpath "$3") pairs=${4:-5}
rivals=$(cd "$(dirname "$0")/../benches/rivals" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'echo "failed in line $LINENO; what was said last:" >&2; tail -n 20 "$work/log" >&2' ERR
"$engine" pack --input "$pictures" --output "$work/raw" --resize 256 >"$work/log" 2>&1
"$engine" pack --input "$pictures" --output "$work/jpeg" --resize 0 --encoding jpeg >"$work/log" 2>&1
"$engine" unpack "$work/raw" --output "$work/same" >"$work/log" 2>&1
has() { "$python" -c "import $1" 2>"$work/log" || { echo "without $1: not installed" >&2 && false; }; }
webdataset=$(has webdataset && echo yes || true)
ffcv=$(has ffcv && echo yes || true)

# field FILE KEY...: the number after the keys, one after the other.
field() {
    local text key
    text=$(tr -d '\n ' <"$1")
    shift
    for key in "$@"; do text=${text#*\""$key"\":}; done
    echo "${text%%[,\}]*}"
}
pair() {
    awk -v what="$1" -v ours="$2" -v theirs="$3" 'BEGIN { printf "%s,%.1f,%.1f,%.3f\n", what, ours, theirs, ours / theirs }' | tee -a "$work/pairs"
}

echo "what,ours,theirs,ratio"
for _ in $(seq "$pairs"); do
    "$engine" bench loader --data "$work/jpeg" --batch-size 32 --threads 1 --repeats 3 --json "$work/jpegs" >/dev/null
    "$engine" bench loader --data "$work/raw" --batch-size 32 --threads 1 --repeats 3 --json "$work/raws" >/dev/null
    # rival NAME SCRIPT OUR_JSON OUR_KEY ARGS...
    rival() {
        "$python" "$rivals/$2" "${@:5}" --repeat 1 2>"$work/log" | tail -1 >"$work/theirs"
        pair "$1" "$(field "$work/$3" "$4" images_per_s_per_core)" "$(field "$work/theirs" images_per_s_per_core)"
    }
    rival "jpeg decode against torchvision" torch_loader.py jpegs again "$pictures" --decode-only
    rival "augmented to f32 against torchvision" torch_loader.py raws augmented "$pictures"
    if [ "$webdataset" ]; then
        rival "jpeg decode against webdataset" webdataset_loader.py jpegs again "$pictures" --decode-only
        rival "augmented to f32 against webdataset" webdataset_loader.py raws augmented "$pictures"
    fi
    if [ "$ffcv" ]; then
        rival "augmented to f32 against FFCV's raw records" ffcv_loader.py raws augmented "$work/same"
        rival "jpeg augmented to f32 against FFCV's jpeg records" ffcv_loader.py jpegs augmented "$pictures" --jpeg
    fi
    "$engine" bench pack --input "$pictures" --jobs 1 --repeats 1 --json "$work/ours" >/dev/null 2>&1
    "$python" "$rivals/pillow_pack.py" "$pictures" --repeat 1 >"$work/theirs"
    pair "pack at 256 against Pillow" "$(field "$work/ours" images_per_s_per_core)" "$(field "$work/theirs" images_per_s_per_core)"
    for side in 0 500; do
        "$engine" bench pack --input "$pictures" --jobs 1 --repeats 1 --resize 0 --jpeg --quality 90 --max-side "$side" --json "$work/ours" \
            >/dev/null 2>&1
        "$python" "$rivals/pillow_pack.py" "$pictures" --quality 90 --max-side "$side" --repeat 1 >"$work/theirs"
        pair "pack as JPEG of quality 90 and a longest side of ${side/#0/any} against Pillow" "$(field "$work/ours" images_per_s_per_core)" \
            "$(field "$work/theirs" images_per_s_per_core)"
    done
done

# The middle ratio of each.
sort -t, -k1,1 -k4,4n "$work/pairs" | awk -F, '
    function tell() { if (n) printf "median,%s,%.3f\n", what, n % 2 ? r[(n + 1) / 2] : (r[n / 2] + r[n / 2 + 1]) / 2 }
    $1 != what { tell(); what = $1; n = 0 }
    { r[++n] = $4 }
    END { tell() }'
