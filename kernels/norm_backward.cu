// Batch norm backward: from d, the gradient by `out`, the gradient by the sum before act (d, in place), and dgamma, dbeta, dy.
//
// With x^ = (y - mean) * invstd and N rows: dbeta = sum d, dgamma = sum d x^, and
// dy = gamma * invstd * (d - dbeta / N - x^ * dgamma / N) = a * d + b * (y - mean) + e, three coefficients a channel.
// Three kernels: norm_backward_sums masks d where the ReLU gave zero and sums over tiles of rows; norm_backward_finish adds the tiles of
// a channel in f64 and makes the coefficients; norm_backward_apply computes dy.
//
// Layout: d, out, y, dy [rows, channels]; gamma, dgamma, dbeta f32; saved [means][invstds]; coefficients [a][b][e], f32.
//   tiles: [channels][tiles] pairs (sum d, sum d x^). Bases aligned to 16 bytes where channels are a multiple of eight.
// Owner: as in norm.cu. All orders are fixed: bitwise repeatable.
// Cost: d, y (and out) are read once and d written by the sums, d and y read and dy written by the last; bound by memory.
// Status: emulated only; no GPU has run it.
#include "channels.cuh"
#include "ptx.cuh"
#include "reduce.cuh"
#include "tile_sums.cuh"

namespace {

template <class T>
DEVICE void sums(T* d, const T* out, const T* y, const float* saved, float2* tiles, const NormShape& g) {
    const TileRows rows(g.rows, g.tile_rows);
    const Channels channels(g.channels, blockIdx.y * kUnits + my_unit());
    Eight mean{}, invstd{};
    if (channels.count > 0) {
        mean = channels.load_at(saved);
        invstd = channels.load_at(saved + g.channels);
    }
    Eight sum{}, sum_hat{};
    rows.for_each(
        [&](int row) {
            Eight gradient = channels.load(d, row);
            const Eight e = channels.load(y, row);
            if (g.relu) {
                const Eight mask = channels.load(out, row);
#pragma unroll
                for (int i = 0; i < 8; i++) gradient.v[i] = mask.v[i] > 0.f ? gradient.v[i] : 0.f;
                channels.store(d, row, gradient);
            }
#pragma unroll
            for (int i = 0; i < 8; i++) {
                sum.v[i] += gradient.v[i];
                sum_hat.v[i] += gradient.v[i] * ((e.v[i] - mean.v[i]) * invstd.v[i]);
            }
        },
        channels);
    const Eight total = sum_over_rows(sum), total_hat = sum_over_rows(sum_hat);
    if (my_row_lane() != 0) return;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        if (i < channels.count) tiles[static_cast<int64_t>(channels.first + i) * g.tiles + blockIdx.x] = float2{total.v[i], total_hat.v[i]};
    }
}

template <class T>
DEVICE void apply(const T* d, const T* y, const float* saved, const float* coefficients, T* dy, const NormShape& g) {
    const int units = units_of(g.channels);
    const int64_t item = static_cast<int64_t>(global_thread());
    if (item >= static_cast<int64_t>(g.rows) * units) return;
    const int64_t row = item / units;
    const Channels channels(g.channels, static_cast<int>(item - row * units));
    const Eight mean = channels.load_at(saved), a = channels.load_at(coefficients), b = channels.load_at(coefficients + g.channels);
    const Eight e = channels.load_at(coefficients + 2 * g.channels);
    const Eight gradient = channels.load(d, row), value = channels.load(y, row);
    Eight result;
#pragma unroll
    for (int i = 0; i < 8; i++) result.v[i] = a.v[i] * gradient.v[i] + b.v[i] * (value.v[i] - mean.v[i]) + e.v[i];
    channels.store(dy, row, result);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
norm_backward_sums_f32(float* d, const float* out, const float* y, const float* saved, float2* tiles, NormShape shape) {
    sums(d, out, y, saved, tiles, shape);
}
extern "C" __global__ void __launch_bounds__(256)
norm_backward_sums_bf16(bf16* d, const bf16* out, const bf16* y, const float* saved, float2* tiles, NormShape shape) {
    sums(d, out, y, saved, tiles, shape);
}

extern "C" __global__ void __launch_bounds__(256)
norm_backward_finish(const float2* tiles, const float* gamma, const float* saved, float* dgamma, float* dbeta, float* coefficients,
                     NormShape shape, int accumulate) {
    const int channel = static_cast<int>(global_thread() / 32), lane = threadIdx.x & 31;
    if (channel >= shape.channels) return;
    double sum = 0, sum_hat = 0;
    for (int tile = lane; tile < shape.tiles; tile += 32) {
        const float2 t = tiles[static_cast<int64_t>(channel) * shape.tiles + tile];
        sum += t.x;
        sum_hat += t.y;
    }
    sum = warp_sum(sum);
    sum_hat = warp_sum(sum_hat);
    if (lane != 0) return;
    const double invstd = saved[shape.channels + channel], a = gamma[channel] * invstd;
    coefficients[channel] = static_cast<float>(a);
    coefficients[shape.channels + channel] = static_cast<float>(-a * invstd * sum_hat / shape.rows);
    coefficients[2 * shape.channels + channel] = static_cast<float>(-a * sum / shape.rows);
    dgamma[channel] = static_cast<float>((accumulate ? dgamma[channel] : 0.0) + sum_hat);
    dbeta[channel] = static_cast<float>((accumulate ? dbeta[channel] : 0.0) + sum);
}

extern "C" __global__ void __launch_bounds__(256)
norm_backward_apply_f32(const float* d, const float* y, const float* saved, const float* coefficients, float* dy, NormShape shape) {
    apply(d, y, saved, coefficients, dy, shape);
}
extern "C" __global__ void __launch_bounds__(256)
norm_backward_apply_bf16(const bf16* d, const bf16* y, const float* saved, const float* coefficients, bf16* dy, NormShape shape) {
    apply(d, y, saved, coefficients, dy, shape);
}
