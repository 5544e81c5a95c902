// What an update is measured by: the norm of all gradients, whether losses and gradients are finite, and the factor that clips.
//
// grad_norm: norm = sqrt(sum g^2); scale = min(1, clip / (norm + 1e-6)), as torch's clip_grad_norm_ (1 for an infinite clip); finite = the
// norm and every loss included are. Squares of f32 do not overflow in f64, so the norm is finite if and only if all gradients are.
// include_loss: adds a batch's sum of losses and its rows, before grad_norm.
//
// Layout: grads, an arena of len f32; slabs, f64, one for each 16384 gradients; ticket, zero before the first launch; sums f64 [3], of
//   which the first is the loss (loss.cu).
// Owner: a block of grad_norm has 16384 neighbouring gradients and leaves their sum of squares in its slab; the block that comes last
//   adds the slabs in order and writes `control`. Deterministic, with the CPU's bits: square_sums.cuh. include_loss is one thread.
// Cost: reads 4 bytes a gradient, bound by memory (25.6 M: 0.10 GB), then the last block's additions, one after the other: 1562 for
//   ResNet-50, some 10 microseconds.
// Status: emulated only; no GPU has run it.
#include "arguments.cuh"
#include "square_sums.cuh"
#include "ticket.cuh"

extern "C" __global__ void __launch_bounds__(32) include_loss(const double* sums, int rows, UpdateControl* control) {
    if (threadIdx.x != 0) return;
    control->loss = (f64(control->loss) + f64(sums[0])).v;
    control->rows += rows;
    if (!is_finite(f64(sums[0]))) control->loss_finite = 0;
}

extern "C" __global__ void __launch_bounds__(256)
grad_norm(const float* grads, uint64_t len, double* slabs, uint32_t* ticket, UpdateControl* control, double clip) {
    const uint64_t first = static_cast<uint64_t>(blockIdx.x) * kPiece;
    const int count = len - first < kPiece ? static_cast<int>(len - first) : kPiece;
    const f64 squares = square_sum(count, [&](int i) -> f64 { return grads[first + i]; });
    if (threadIdx.x == 0) slabs[blockIdx.x] = squares.v;
    if (!comes_last(ticket, gridDim.x, dynamic_shared())) return;
    const f64 norm = square_root(ordered_sum(slabs, gridDim.x));
    if (threadIdx.x != 0) return;
    const f64 ratio = f64(clip) / (norm + 1e-6);
    control->grad_norm = norm.v;
    control->scale = ratio < 1.0 ? ratio.v : 1.0;
    control->finite = is_finite(norm) && control->loss_finite;
    control->overflowed = 0;
}
