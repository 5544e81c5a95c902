#!/usr/bin/env bash
# Loading and packing against their rivals, in pairs on the same pictures and the same core: the medians of the ratios count, of pictures a
# second of CPU time, which others on the machine disturb least.
#   tools/loader_pairs.sh ENGINE PYTHON PICTURES [PAIRS]
# PICTURES is an ImageFolder tree of some hundred pictures; PYTHON has torch, torchvision and Pillow. Prints CSV: what, ours, theirs, ratio, one line a pair.
set -euo pipefail
engine=$(realpath "$1") python=$2 pictures=$(realpath "$3") pairs=${4:-5}
rivals=$(cd "$(dirname "$0")/../benches/rivals" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$engine" pack --input "$pictures" --output "$work/raw" --resize 256 >"$work/log" 2>&1
"$engine" pack --input "$pictures" --output "$work/jpeg" --resize 0 --encoding jpeg >"$work/log" 2>&1

# field FILE KEY...: the number after the keys, one after the other.
field() {
    local text key
    text=$(tr -d '\n ' <"$1")
    shift
    for key in "$@"; do text=${text#*\""$key"\":}; done
    echo "${text%%[,\}]*}"
}
pair() {
    awk -v what="$1" -v ours="$2" -v theirs="$3" 'BEGIN { printf "%s,%.1f,%.1f,%.3f\n", what, ours, theirs, ours / theirs }'
}

echo "what,ours,theirs,ratio"
for _ in $(seq "$pairs"); do
    "$engine" bench loader --data "$work/jpeg" --batch-size 32 --threads 1 --repeats 3 --json "$work/ours" >/dev/null
    "$python" "$rivals/torch_loader.py" "$pictures" --repeat 1 --decode-only >"$work/theirs"
    pair "jpeg decode" "$(field "$work/ours" again images_per_s_per_core)" "$(field "$work/theirs" images_per_s_per_core)"
    "$engine" bench loader --data "$work/raw" --batch-size 32 --threads 1 --repeats 3 --json "$work/ours" >/dev/null
    "$python" "$rivals/torch_loader.py" "$pictures" --repeat 1 >"$work/theirs"
    pair "augmented to f32" "$(field "$work/ours" augmented images_per_s_per_core)" "$(field "$work/theirs" images_per_s_per_core)"
    "$engine" bench pack --input "$pictures" --jobs 1 --repeats 1 --json "$work/ours" >/dev/null 2>&1
    "$python" "$rivals/pillow_pack.py" "$pictures" --repeat 1 >"$work/theirs"
    pair "pack at 256" "$(field "$work/ours" images_per_s_per_core)" "$(field "$work/theirs" images_per_s_per_core)"
done
