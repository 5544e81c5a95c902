#!/bin/sh
# Loads pictures of noise that are larger than the memory they are given, and says how fast, beside the rate of the disk.
#
#   tools/loader_limit.sh target/release/imagenet-engine [COUNT] [LIMIT_MB]      as root; TMPDIR says on which disk
#
# Each block is one way of reading: a control group of its own with LIMIT_MB of memory (page cache included), COUNT pictures of 256x256
# made in it, then epochs over them. benches/rivals/disk.py reads as many bytes around the page cache, before, between and after.
set -eu
engine=$1
count=${2:-20000}
limit_mb=${3:-1024}
where=${TMPDIR:-/tmp}
scratch=$(mktemp -d "$where/loader-limit-XXXXXX")
if [ -f /sys/fs/cgroup/memory/memory.limit_in_bytes ]; then
    group=/sys/fs/cgroup/memory/loader-limit-$$
    limit=memory.limit_in_bytes
    most=memory.max_usage_in_bytes
else
    group=/sys/fs/cgroup/loader-limit-$$
    limit=memory.max
    most=memory.peak
fi
mkdir "$group" || { echo "error: no control group can be made here: run as root" >&2; exit 1; }
[ -f "$group/$limit" ] && [ -f "$group/$most" ] || {
    rmdir "$group"
    echo "error: the memory controller is not handed down (echo +memory >/sys/fs/cgroup/cgroup.subtree_control), or Linux before 5.19" >&2
    exit 1
}
rmdir "$group"
trap 'rm -rf "$scratch"; rmdir "$group" 2>/dev/null || true' EXIT

disk() {
    python3 "$(dirname "$0")/../benches/rivals/disk.py" "$scratch/plain" --threads 1 4
}

dd if=/dev/urandom of="$scratch/plain" bs=8M count=$((count * 196608 / 8388608)) oflag=direct 2>/dev/null
disk
run() {
    mkdir "$group"
    echo $((limit_mb << 20)) >"$group/$limit"
    echo "== $*"
    status=0
    (
        sh -c 'echo $PPID' >"$group/cgroup.procs"
        exec "$engine" bench loader --made "${count}x256" --repeats 3 "$@"
    ) || status=$?
    echo "exit $status; the group held at most $(($(cat "$group/$most") >> 20)) MB of $limit_mb"
    rmdir "$group"
    disk
}
run --shuffle block --shuffle-window 4
run --shuffle block --shuffle-window 4 --workers 2
run --shuffle block --shuffle-window 4 --page-cache keep
run --shuffle full
run --shuffle full --workers 2
run --shuffle full --page-cache keep
run --shuffle none
