#!/usr/bin/env bash
# Installs the pinned CUDA 13.0 compiler into .cuda/ of this tree, from NVIDIA's Python wheels: no root, no driver, no GPU needed.
# build.rs finds it there. Does nothing where it is already installed. Needs Python with pip, about 300 MB of disk, x86-64 Linux.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "error: $1" >&2; exit 1; }

# Versions that fit together, each with its wheel's SHA-256. crt and nvvm must be those of nvcc: a newer nvvm writes PTX that the
# older ptxas refuses. cuobjdump and nvdisasm only read cubins, so the newest will do.
requirements='
nvidia-cuda-nvcc==13.0.88 --hash=sha256:56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03
nvidia-cuda-crt==13.0.88 --hash=sha256:2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4
nvidia-nvvm==13.0.88 --hash=sha256:c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cccl==13.0.85 --hash=sha256:e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649
nvidia-cuda-cuobjdump==13.5.37 --hash=sha256:38780fee50863252a0b8926357faa91615ca1c8346490563f33a06100cd73f58
nvidia-cuda-nvdisasm==13.5.37 --hash=sha256:d3fdbdd49fa53e2e4aacd3db8259d052bd2b049ececdcb69e92e083c6728e7ca
'

stamp=.cuda/installed.txt
if [ -f "$stamp" ] && diff -q <(printf '%s' "$requirements") "$stamp" >/dev/null && .cuda/bin/nvcc --version >/dev/null 2>&1; then
    echo "nvcc is already in .cuda/: $(.cuda/bin/nvcc --version | sed -n 's/^Cuda compilation tools, //p')"
    exit 0
fi

[ "$(uname -sm)" = "Linux x86_64" ] || fail "these wheels are for x86-64 Linux, this is $(uname -sm). Install CUDA 13.0 and set CUDA_HOME."
python=$(command -v python3) || fail "python3 is missing: install python3 and python3-pip"
"$python" -m pip --version >/dev/null 2>&1 || fail "pip is missing for $python: install python3-pip"

# Built beside its final place and renamed at the end, so that an interrupted run leaves nothing that looks installed.
fresh=.cuda.partial
rm -rf "$fresh"
mkdir "$fresh"
trap 'rm -rf "$fresh"' EXIT
printf '%s' "$requirements" > "$fresh/requirements.txt"
"$python" -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --only-binary :all: --require-hashes \
    --target "$fresh/wheels" --requirement "$fresh/requirements.txt" ||
    fail "pip could not install the wheels (see above): no network, or a package index that does not have these versions"
mv "$fresh/wheels/nvidia/cu13" "$fresh/cuda"
chmod +x "$fresh"/cuda/bin/* "$fresh"/cuda/nvvm/bin/* 2>/dev/null || true
"$fresh/cuda/bin/nvcc" --version >/dev/null || fail "the installed nvcc does not start"
printf '%s' "$requirements" > "$fresh/cuda/installed.txt"
rm -rf .cuda
mv "$fresh/cuda" .cuda
echo "installed into .cuda/: $(.cuda/bin/nvcc --version | sed -n 's/^Cuda compilation tools, //p')"
