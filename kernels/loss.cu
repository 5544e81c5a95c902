// Softmax cross-entropy with label smoothing and mixed labels, its gradient, and the rank of the label, in one pass over rows; then the
// sums of a batch.
//
// The target of a row is (1 - smoothing) * (share * its label + (1 - share) * its second label) + smoothing / classes everywhere, as timm's
// mixup_target; `share` is one for the whole batch and read from the device. Without second labels, share is 1. Ranks are the label's.
// With top the largest logit of a row and others = sum over the other classes of exp(z - top):
//   ln sum exp(z) - z[label] = (top - z[label]) + ln(1 + others), and the smoothed part, ln sum exp(z) - mean z, likewise:
// sums of terms that are not negative, so nothing cancels and the loss keeps its relative precision down to zero.
// A row with a NaN or an infinite maximum has a loss and gradients that are not finite, and no rank.
//
// Layout: logits, dlogits [rows, classes]; labels, second_labels (may be null, then share too), ranks [rows]; share f32 [1]; losses f32 [rows]; sums f64 [3]: loss, top-1, top-5.
// Owner: a warp has a row of cross_entropy, lane l classes l, l + 32, ...; loss_sums is one block. Fixed orders: bitwise repeatable.
// Cost: the logits are read once from memory and twice from L1, dlogits written; bound by latency at 1000 classes.
// Status: emulated only; no GPU has run it.
#include "index.cuh"
#include "ptx.cuh"
#include "reduce.cuh"
#include "types.cuh"

namespace {

constexpr int kNoRank = 0x7FFFFFFF;

// exp(z - top) to the precision of expf: the rounding error of the difference (Knuth's two-sum), up to |z - top| / 2^24, would be a
// relative error of the result.
DEVICE float exp_difference(float z, float top) {
    const float difference = __fsub_rn(z, top), minus_top = __fsub_rn(difference, z);
    const float error = __fsub_rn(__fsub_rn(z, __fsub_rn(difference, minus_top)), __fadd_rn(top, minus_top));
    const float e = expf(difference);
    return e > 0.f ? __fmaf_rn(e, error, e) : e;  // zero, where z may be -inf and the error no number; or NaN
}

// dlogits may be null. `scale` multiplies the gradient: of the mean over rows, 1 / rows.
template <class T>
DEVICE void cross_entropy(const T* logits, const uint32_t* labels, const uint32_t* second_labels, const float* share, T* dlogits,
                          float* losses, int* ranks, int rows, int classes, float smoothing, float scale) {
    const int row = static_cast<int>(global_thread() / 32), lane = threadIdx.x & 31;
    if (row >= rows) return;
    const T* z = logits + static_cast<int64_t>(row) * classes;
    const int label = static_cast<int>(labels[row]);
    const int second = second_labels ? static_cast<int>(second_labels[row]) : label;
    const float first_share = second_labels ? *share : 1.f, second_share = 1.f - first_share;
    const bool exists = inside(label, classes) && inside(second, classes);
    const float truth = exists ? to_float(z[label]) : 0.f, second_truth = exists ? to_float(z[second]) : 0.f;

    float top = -INFINITY;
    int ahead = 0;
    bool nan = !exists;
    for (int k = lane; k < classes; k += 32) {
        const float v = to_float(z[k]);
        nan |= v != v;
        top = fmaxf(top, v);
        ahead += v > truth || (v == truth && k < label);
    }
    top = warp_max(top);
    ahead = warp_sum(ahead);
    nan = __any_sync(kAllLanes, nan);

    // One of the classes at the top is left out of `others`: the first.
    int first_top = classes;
    for (int k = lane; k < classes; k += 32) {
        if (to_float(z[k]) == top && k < first_top) first_top = k;
    }
#pragma unroll
    for (int bits = 16; bits > 0; bits >>= 1) first_top = min(first_top, __shfl_xor_sync(kAllLanes, first_top, bits));
    float others = 0.f, below = 0.f;
    for (int k = lane; k < classes; k += 32) {
        const float v = to_float(z[k]);
        if (k != first_top) others += exp_difference(v, top);
        below += top - v;
    }
    others = warp_sum(others);
    below = warp_sum(below);
    const float log_rest = log1pf(others);

    if (lane == 0) {
        const float below_top = second_labels ? first_share * (top - truth) + second_share * (top - second_truth) : top - truth;
        const float plain = below_top + log_rest, smooth = below / static_cast<float>(classes) + log_rest;
        losses[row] = nan ? NAN : smoothing == 0.f ? plain : (1.f - smoothing) * plain + smoothing * smooth;
        ranks[row] = nan ? kNoRank : ahead;
    }
    if (!dlogits) return;
    T* d = dlogits + static_cast<int64_t>(row) * classes;
    const float even = smoothing / static_cast<float>(classes), total = 1.f + others;
    for (int k = lane; k < classes; k += 32) {
        const float probability = __fdiv_rn(exp_difference(to_float(z[k]), top), total);
        const float named = (k == label ? first_share : 0.f) + (k == second ? second_share : 0.f);
        const float target = (1.f - smoothing) * named + even;
        d[k] = from_float<T>(nan ? NAN : scale * (probability - target));
    }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
cross_entropy_f32(const float* logits, const uint32_t* labels, const uint32_t* second_labels, const float* share, float* dlogits,
                  float* losses, int* ranks, int rows, int classes, float smoothing, float scale) {
    cross_entropy(logits, labels, second_labels, share, dlogits, losses, ranks, rows, classes, smoothing, scale);
}
extern "C" __global__ void __launch_bounds__(256)
cross_entropy_bf16(const bf16* logits, const uint32_t* labels, const uint32_t* second_labels, const float* share, bf16* dlogits,
                   float* losses, int* ranks, int rows, int classes, float smoothing, float scale) {
    cross_entropy(logits, labels, second_labels, share, dlogits, losses, ranks, rows, classes, smoothing, scale);
}

// One block of 256: thread t takes rows t, t + 256, ...; then the warps' sums in order.
extern "C" __global__ void __launch_bounds__(256) loss_sums(const float* losses, const int* ranks, double* sums, int rows) {
    const SharedArray<double> partial{dynamic_shared()};
    double mine[3] = {};
    for (int row = threadIdx.x; row < rows; row += 256) {
        mine[0] += losses[row];
        mine[1] += ranks[row] < 1;
        mine[2] += ranks[row] < 5;
    }
    for (int i = 0; i < 3; i++) {
        mine[i] = warp_sum(mine[i]);
        if (threadIdx.x % 32 == 0) partial.set(threadIdx.x / 32 * 3 + i, mine[i]);
    }
    __syncthreads();
    if (threadIdx.x >= 3) return;
    double total = 0;
    for (int warp = 0; warp < 8; warp++) total += partial.get(warp * 3 + threadIdx.x);
    sums[threadIdx.x] = total;
}
