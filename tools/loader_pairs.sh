#!/usr/bin/env bash
# Loading and packing against their rivals, in pairs on the same pictures, one thread each: the medians of the ratios count (last lines),
# of pictures a second of CPU time, which others on the machine disturb least.
#   tools/loader_pairs.sh ENGINE PYTHON PICTURES [PAIRS [BARE_PYTHON]]
# PICTURES is an ImageFolder tree of some hundred pictures; PYTHON has torch, torchvision and
# Pillow; webdataset and ffcv take part where it has them. BARE_PYTHON (PYTHON, if not named) runs bare loops: over Pillow, or pillow-simd
# where that is what it has (which is why it may be another), over OpenCV with simplejpeg and with Grain around where it has them.
# DALI_PYTHON in the environment, if set, runs DALI. Prints CSV: what, ours, theirs, ratio, one line a pair.
set -euo pipefail
engine=$(realpath "$1") python=$2 pictures=$(realpath "$3") pairs=${4:-5} bare=${5:-$2}
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
opencv=$("$bare" -c "import cv2, simplejpeg" 2>"$work/log" && echo yes || echo "without OpenCV and simplejpeg: not installed" >&2)

grain=$("$bare" -c "import grain" 2>"$work/log" && echo yes || echo "without Grain: not installed" >&2)

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
        "${by:-$python}" "$rivals/$2" "${@:5}" --repeat 1 2>"$work/log" | tail -1 >"$work/theirs"
        pair "$1" "$(field "$work/$3" "$4" images_per_s_per_core)" "$(field "$work/theirs" images_per_s_per_core)"
    }
    rival "jpeg decode against torchvision" torch_loader.py jpegs again "$pictures" --decode-only
    rival "augmented to f32 against torchvision" torch_loader.py raws augmented "$pictures"
    by=$bare
    rival "raw augmented to f32 against a bare Pillow loop" bare_loop.py raws augmented "$pictures" --by pillow
    rival "jpeg augmented to f32 against a bare Pillow loop" bare_loop.py jpegs augmented "$pictures" --by pillow --from jpeg
    if [ "$opencv" ]; then
        rival "raw augmented to f32 against a bare OpenCV loop" bare_loop.py raws augmented "$pictures" --by opencv
        rival "jpeg augmented to f32 against simplejpeg and OpenCV" bare_loop.py jpegs augmented "$pictures" --by opencv --from jpeg
    fi
    if [ "$grain" ]; then
        rival "raw augmented to f32 against Grain with Pillow" grain_loader.py raws augmented "$pictures" --by pillow
        [ -z "$opencv" ] ||
            rival "jpeg augmented to f32 against Grain with simplejpeg and OpenCV" grain_loader.py jpegs augmented "$pictures" --by opencv --from jpeg
    fi
    by=${DALI_PYTHON:-}
    if [ "$by" ]; then
        rival "raw augmented to f32 against DALI on the CPU" dali_loader.py raws augmented "$pictures"
        rival "jpeg augmented to f32 against DALI on the CPU" dali_loader.py jpegs augmented "$pictures" --from jpeg
    fi
    by=
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
