// The trust ratios of layerwise rules: two norms a tensor, of its parameters and of what the rule measures of them.
//
// Two stages in one launch. A block has a piece of a tensor and leaves its two sums of squares in slabs; the block that comes last to a
// tensor, known by a ticket, adds the tensor's pieces in order and writes its ratio. Deterministic: square_sums.cuh.
// Besides update_arena's, a rule has
//   f64 measure(const Step&, f64 p, f64 g, const f64* state) const;
//   f64 trust(const Step&, f64 weight_norm, f64 measured_norm) const;
//
// Layout: pieces ascend and cover every tensor, which begins a piece; slabs 2 f64 a piece, a tensor's [2][pieces] together; tickets, one
//   a tensor, zero before the first launch; trusts f64, one a tensor, not written for a tensor without parameters.
// Cost: reads params twice (the second time from L2), grads and state once, bound by memory. The last block adds up to 144 pieces of
//   ResNet-50's largest tensor, a few microseconds.
#pragma once
#include "square_sums.cuh"
#include "ticket.cuh"
#include "update.cuh"

template <class Rule>
DEVICE void measure_tensors(const Rule& rule, const Arenas& arenas, const Setting& now, const UpdatePiece* pieces, double* slabs,
                            uint32_t* tickets, double* trusts) {
    if (!now.control->finite) return;  // all blocks do, so the tickets stay as they are
    const f64 scale = now.control->scale;
    const UpdatePiece piece = pieces[blockIdx.x];
    const UpdateGroup group = now.groups[piece.group];
    const typename Rule::Step step = rule.begin(now.hyper(piece.group));

    const f64 weights = square_sum(piece.count, [&](int i) -> f64 { return arenas.params[piece.begin + i]; });
    const f64 measured = square_sum(piece.count, [&](int i) {
        const uint64_t at = piece.begin + i;
        f64 own[Rule::kState];
#pragma unroll
        for (int s = 0; s < Rule::kState; s++) own[s] = arenas.state[s * now.shape.len + at];
        return rule.measure(step, arenas.params[at], scale * arenas.grads[at], own);
    });
    double* mine = slabs + 2 * static_cast<int64_t>(group.first_piece);
    if (threadIdx.x == 0) {
        const int at = static_cast<int>(blockIdx.x) - group.first_piece;
        mine[at] = weights.v;
        mine[group.pieces + at] = measured.v;
    }
    if (!comes_last(tickets + piece.group, group.pieces, dynamic_shared())) return;
    const f64 weight_norm = square_root(ordered_sum(mine, group.pieces));
    const f64 measured_norm = square_root(ordered_sum(mine + group.pieces, group.pieces));
    if (threadIdx.x == 0) trusts[piece.group] = rule.trust(step, weight_norm, measured_norm).v;
}
