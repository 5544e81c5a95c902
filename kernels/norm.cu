// Batch norm forward: out = act(gamma * (y - mean) * invstd + beta [+ residual]), with the statistics of the batch or the running ones.
//
// Three kernels: norm_stats takes mean and M2 (the sum of squares about that mean) of every tile of rows; norm_finish combines the tiles
// of a channel by Chan's formula, in f64, and updates the running statistics; norm_apply normalises. norm_inference prepares what
// norm_apply needs from the running statistics instead. Two passes over a tile, the second from L1, so that the variance is exact to
// rounding for any mean: sums of squares about zero are not.
//
// Layout: y, residual, out [rows, channels]; gamma, beta f32; running [means][variances], saved [means][invstds], f32.
//   tiles: [channels][tiles] pairs (mean, M2). Bases aligned to 16 bytes where channels are a multiple of eight.
// Owner: a block of norm_stats has 64 channels of a tile: thread t channels 8*(t%8)..+7 of rows t/8, t/8+32, ... A warp of norm_finish
//   has a channel. A thread of norm_apply has eight channels of a row. All orders are fixed: bitwise repeatable.
// Cost: y is read twice and out written once (residual read once), bound by memory.
// Status: emulated only; no GPU has run it.
#include "channels.cuh"
#include "ptx.cuh"
#include "reduce.cuh"
#include "tile_sums.cuh"

namespace {

template <class T>
DEVICE void stats(const T* y, float2* tiles, const NormShape& g) {
    const TileRows rows(g.rows, g.tile_rows);
    const Channels channels(g.channels, blockIdx.y * kUnits + my_unit());
    Eight sum{};
    rows.for_each([&](int row) { add_eight(sum, channels.load(y, row)); }, channels);
    const Eight total = sum_over_rows(sum);
    Eight mean;
#pragma unroll
    for (int i = 0; i < 8; i++) mean.v[i] = total.v[i] / static_cast<float>(rows.count());
    Eight squares{};
    rows.for_each(
        [&](int row) {
            const Eight e = channels.load(y, row);
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const float d = e.v[i] - mean.v[i];
                squares.v[i] += d * d;
            }
        },
        channels);
    const Eight m2 = sum_over_rows(squares);
    if (my_row_lane() != 0) return;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        if (i < channels.count) tiles[static_cast<int64_t>(channels.first + i) * g.tiles + blockIdx.x] = float2{mean.v[i], m2.v[i]};
    }
}

struct Moments {
    double count, mean, m2;
    // Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    DEVICE void add(const Moments& other) {
        if (other.count == 0) return;
        const double all = count + other.count, delta = other.mean - mean;
        mean += delta * (other.count / all);
        m2 += other.m2 + delta * delta * (count * other.count / all);
        count = all;
    }
};

template <class T>
DEVICE void apply(const T* y, const float* gamma, const float* beta, const T* residual, const float* saved, T* out, const NormShape& g) {
    const int units = units_of(g.channels);
    const int64_t item = static_cast<int64_t>(global_thread());
    if (item >= static_cast<int64_t>(g.rows) * units) return;
    const int64_t row = item / units;
    const Channels channels(g.channels, static_cast<int>(item - row * units));
    const Eight mean = channels.load_at(saved), invstd = channels.load_at(saved + g.channels);
    const Eight scale = channels.load_at(gamma), shift = channels.load_at(beta);
    Eight e = channels.load(y, row);
    const Eight other = residual ? channels.load(residual, row) : Eight{};
#pragma unroll
    for (int i = 0; i < 8; i++) {
        // y - mean first: folding the mean into the shift would cancel where the mean is large.
        const float z = (e.v[i] - mean.v[i]) * (scale.v[i] * invstd.v[i]) + shift.v[i] + other.v[i];
        e.v[i] = g.relu && z < 0.f ? 0.f : z;  // NaN passes
    }
    channels.store(out, row, e);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256) norm_stats_f32(const float* y, float2* tiles, NormShape shape) { stats(y, tiles, shape); }
extern "C" __global__ void __launch_bounds__(256) norm_stats_bf16(const bf16* y, float2* tiles, NormShape shape) { stats(y, tiles, shape); }

extern "C" __global__ void __launch_bounds__(256) norm_finish(const float2* tiles, float* running, float* saved, NormShape shape) {
    const int channel = static_cast<int>(global_thread() / 32), lane = threadIdx.x & 31;
    if (channel >= shape.channels) return;
    Moments mine{0, 0, 0};
    for (int tile = lane; tile < shape.tiles; tile += 32) {
        const float2 t = tiles[static_cast<int64_t>(channel) * shape.tiles + tile];
        mine.add({static_cast<double>(min(shape.tile_rows, shape.rows - tile * shape.tile_rows)), t.x, t.y});
    }
    for (int step = 1; step < 32; step *= 2) {
        const Moments other{__shfl_down_sync(kAllLanes, mine.count, step), __shfl_down_sync(kAllLanes, mine.mean, step),
                            __shfl_down_sync(kAllLanes, mine.m2, step)};
        if (lane + step < 32) mine.add(other);
    }
    if (lane != 0) return;
    const double variance = mine.m2 / shape.rows, unbiased = mine.m2 / (shape.rows - 1.0);
    float* running_variance = running + shape.channels;
    running[channel] = static_cast<float>(running[channel] + shape.momentum * (mine.mean - running[channel]));
    running_variance[channel] = static_cast<float>(running_variance[channel] + shape.momentum * (unbiased - running_variance[channel]));
    saved[channel] = static_cast<float>(mine.mean);
    saved[shape.channels + channel] = static_cast<float>(1.0 / sqrt(variance + shape.eps));
}

extern "C" __global__ void __launch_bounds__(256) norm_inference(const float* running, float* saved, NormShape shape) {
    const int channel = static_cast<int>(global_thread());
    if (channel >= shape.channels) return;
    saved[channel] = running[channel];
    saved[shape.channels + channel] = static_cast<float>(1.0 / sqrt(running[shape.channels + channel] + shape.eps));
}

extern "C" __global__ void __launch_bounds__(256)
norm_apply_f32(const float* y, const float* gamma, const float* beta, const float* residual, const float* saved, float* out, NormShape shape) {
    apply(y, gamma, beta, residual, saved, out, shape);
}
extern "C" __global__ void __launch_bounds__(256)
norm_apply_bf16(const bf16* y, const float* gamma, const float* beta, const bf16* residual, const float* saved, bf16* out, NormShape shape) {
    apply(y, gamma, beta, residual, saved, out, shape);
}
