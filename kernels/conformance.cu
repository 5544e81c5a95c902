// One kernel for each wrapper of ptx.cuh and each small function of the headers, giving back what it did with its operands, so that a
// device and the emulator can be held, bit for bit, to scalar definitions written elsewhere (tests/kernels/conformance.rs).
//
// Layout: plain arrays; one warp does each job, lane i with row i of its operands.
// Cost: none that matters; these run in tests only.
// Status: emulated only; no GPU has run it.
#include "index.cuh"
#include "ptx.cuh"
#include "reduce.cuh"
#include "rng.cuh"
#include "types.cuh"

// Lane i copies row i (four words) where bit i of `valid` is set; row i of `out` is what lane i^1's copy left.
extern "C" __global__ void __launch_bounds__(32) conformance_copy(const uint32_t* rows, uint32_t* out, uint32_t valid) {
    char* shared = dynamic_shared();
    const int lane = threadIdx.x;
    copy_async_16(shared + lane * 16, rows + lane * 4, valid >> lane & 1);
    commit_copies();
    wait_copies<0>();
    __syncthreads();
    for (int i = 0; i < 4; i++) out[lane * 4 + i] = load_shared<uint32_t>(shared + (lane ^ 1) * 16 + i * 4);
}

// Three groups of copies, the first two waited for and read, then the third.
extern "C" __global__ void __launch_bounds__(32) conformance_groups(const uint32_t* rows, uint32_t* out) {
    char* shared = dynamic_shared();
    const int lane = threadIdx.x;
    for (int group = 0; group < 3; group++) {
        copy_async_16(shared + (group * 32 + lane) * 16, rows + (group * 32 + lane) * 4, true);
        commit_copies();
    }
    wait_copies<1>();
    for (int i = 0; i < 8; i++) {
        const int at = (i / 4 * 32 + lane) * 4 + i % 4;
        out[at] = load_shared<uint32_t>(shared + at * 4);
    }
    wait_copies<0>();
    for (int i = 0; i < 4; i++) {
        const int at = (64 + lane) * 4 + i;
        out[at] = load_shared<uint32_t>(shared + at * 4);
    }
}

// Four 8x8 matrices as 32 rows of eight; the four words of each lane, first as they are, then transposed.
extern "C" __global__ void __launch_bounds__(32) conformance_matrices(const uint32_t* rows, uint32_t* out) {
    char* shared = dynamic_shared();
    const int lane = threadIdx.x;
    for (int i = 0; i < 4; i++) store_shared<uint32_t>(shared + lane * 16 + i * 4, rows[lane * 4 + i]);
    __syncwarp();
    uint32_t plain[4], transposed[4];
    load_matrices<false>(plain, shared + lane * 16);
    load_matrices<true>(transposed, shared + lane * 16);
    for (int i = 0; i < 4; i++) {
        out[lane * 4 + i] = plain[i];
        out[128 + lane * 4 + i] = transposed[i];
    }
}

// d += a * b, lane i holding row i of the fragments a (four words), b (two) and d (four).
extern "C" __global__ void __launch_bounds__(32) conformance_multiply_add(const uint32_t* a, const uint32_t* b, float* d) {
    const int lane = threadIdx.x;
    const uint32_t left[4] = {a[lane * 4], a[lane * 4 + 1], a[lane * 4 + 2], a[lane * 4 + 3]};
    float sums[4] = {d[lane * 4], d[lane * 4 + 1], d[lane * 4 + 2], d[lane * 4 + 3]};
    multiply_add(sums, left, b[lane * 2], b[lane * 2 + 1]);
    for (int i = 0; i < 4; i++) d[lane * 4 + i] = sums[i];
}

extern "C" __global__ void __launch_bounds__(256) conformance_pack(const float* values, uint32_t* pairs, int count) {
    const int i = static_cast<int>(global_thread());
    if (i < count) pairs[i] = pack_bf16(values[2 * i], values[2 * i + 1]);
}

// Word i of `out` is n[i] / divisor.
extern "C" __global__ void __launch_bounds__(256) conformance_divide(const uint32_t* n, uint32_t* out, int count, FastDiv by) {
    const int i = static_cast<int>(global_thread());
    if (i < count) out[i] = divide(n[i], by);
}

// Row i of `out` is philox(key, row i of `counters`).
extern "C" __global__ void __launch_bounds__(256)
conformance_philox(const uint32_t* counters, uint32_t* out, int count, uint32_t key0, uint32_t key1) {
    const int i = static_cast<int>(global_thread());
    if (i >= count) return;
    const PhiloxBlock block = philox(key0, key1, {{counters[4 * i], counters[4 * i + 1], counters[4 * i + 2], counters[4 * i + 3]}});
    for (int word = 0; word < 4; word++) out[4 * i + word] = block.word[word];
}

// Of each warp's 32 values: every lane's sum and maximum, and who is positive.
extern "C" __global__ void __launch_bounds__(64) conformance_warp(const float* values, float* sums, float* maxima, uint32_t* positive) {
    const int i = static_cast<int>(global_thread());
    sums[i] = warp_sum(values[i]);
    maxima[i] = warp_max(values[i]);
    positive[i] = __ballot_sync(kAllLanes, values[i] > 0.f);
}
