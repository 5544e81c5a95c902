#!/usr/bin/env bash
# Holds every compiled kernel to kernels/budget.txt: registers and static shared memory at most as there, no spills, no local memory, and
# the instructions it must have (UNFUSED: f64 multiplications and no DFMA). Needs nvcc's cuobjdump (tools/get-nvcc.sh), no GPU.
#   tools/sass-guard.sh            compile everything and check
#   tools/sass-guard.sh --update   write the table anew from what the compiler gives (then look at the difference before committing)
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

nvcc=${NVCC:-.cuda/bin/nvcc}
[ -x "$nvcc" ] || { echo "error: no nvcc at $nvcc: run tools/get-nvcc.sh, or set NVCC" >&2; exit 1; }
cuobjdump=$(dirname "$nvcc")/cuobjdump
table=kernels/budget.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One line a kernel: file kernel arch registers shared-bytes spilled-bytes instructions (counted, comma-separated).
measure() {
    local file=$1 arch=$2 name cubin
    name=$(basename "$file" .cu)
    cubin=$work/$name.sm_$arch.cubin
    "$nvcc" -cubin -arch="sm_$arch" -std=c++17 -O3 -lineinfo -Ikernels/include -Xptxas -v -o "$cubin" "$file" 2> "$work/$name.$arch.log" ||
        { cat "$work/$name.$arch.log" >&2; exit 1; }
    # ptxas then waits after every wgmma, at a fraction of the rate
    if grep "instructions are serialized" "$work/$name.$arch.log" >&2; then exit 1; fi
    {
        sed 's/^/PTXAS /' "$work/$name.$arch.log"
        "$cuobjdump" -sass "$cubin"
    } | awk -v file="$name" -v arch="sm_$arch" '
        /^PTXAS .*Compiling entry function/ { split($0, q, "\x27"); kernel = q[2] }
        /^PTXAS .*bytes spill stores/ { match($0, /[0-9]+ bytes spill stores/); s = substr($0, RSTART) + 0
                                        match($0, /[0-9]+ bytes spill loads/); spilled[kernel] = s + (substr($0, RSTART) + 0) }
        /^PTXAS .*Used [0-9]+ registers/ { match($0, /Used [0-9]+/); registers[kernel] = substr($0, RSTART + 5, RLENGTH - 5)
                                           shared[kernel] = 0
                                           if (match($0, /[0-9]+ bytes smem/)) shared[kernel] = substr($0, RSTART) + 0 }
        /^[ \t]*Function : / { kernel = $3; order[++n] = kernel }
        / HMMA\.16816\.F32\.BF16/ { hmma[kernel]++ }
        / HGMMA\.64x[0-9]+x16\.F32\.BF16/ { hgmma[kernel]++ }
        / LDSM\./ { ldsm[kernel]++ }
        / LDGSTS\./ { ldgsts[kernel]++ }
        / DMUL / { dmul[kernel]++ }
        / DFMA / { dfma[kernel]++ }
        / (STL|LDL)[. ]/ { local_memory[kernel]++ }
        END {
            for (i = 1; i <= n; i++) {
                k = order[i]; has = ""
                if (hmma[k]) has = has ",HMMA"
                if (hgmma[k]) has = has ",HGMMA"
                if (ldsm[k]) has = has ",LDSM"
                if (ldgsts[k]) has = has ",LDGSTS"
                # f64 products rounded one by one, as the CPU rounds them: a fused one would change bits (division needs DFMA inside)
                if (dmul[k] && !dfma[k]) has = has ",UNFUSED"
                print file, k, arch, registers[k], shared[k], spilled[k] + local_memory[k], has == "" ? "-" : substr(has, 2)
            }
        }'
}

for file in kernels/*.cu; do
    for arch in 80 90a; do
        measure "$file" "$arch"
    done
done | sort > "$work/now"

if [ "${1:-}" = --update ]; then
    {
        echo "# Checked by tools/sass-guard.sh: what each kernel may use at most, and the instructions it must have. Spills are never allowed."
        echo "# file kernel arch registers static-shared-bytes instructions"
        awk '{ print $1, $2, $3, $4, $5, $7 }' "$work/now"
    } > "$table"
    echo "wrote $table: $(wc -l < "$work/now") kernels"
fi

grep -v '^#' "$table" > "$work/budget"
awk '
    NR == FNR { registers[$1 " " $2 " " $3] = $4; shared[$1 " " $2 " " $3] = $5; must[$1 " " $2 " " $3] = $6; next }
    {
        id = $1 " " $2 " " $3; seen[id] = 1; checked++
        if (!(id in registers)) { print "error: " id " is not in the table: run tools/sass-guard.sh --update"; bad++; next }
        if ($4 > registers[id]) { print "error: " id " uses " $4 " registers, " registers[id] " allowed"; bad++ }
        if ($5 > shared[id]) { print "error: " id " uses " $5 " bytes of static shared memory, " shared[id] " allowed"; bad++ }
        if ($6 > 0) { print "error: " id " spills (" $6 ")"; bad++ }
        count = split(must[id], words, ",")
        for (i = 1; i <= count; i++) if (words[i] != "-" && index("," $7 ",", "," words[i] ",") == 0) { print "error: " id " has no " words[i]; bad++ }
    }
    END {
        for (id in registers) if (!(id in seen)) { print "error: " id " is in the table, but no such kernel was compiled"; bad++ }
        print checked " kernels checked, " bad + 0 " outside their budget"
        exit bad > 0
    }' "$work/budget" "$work/now"
