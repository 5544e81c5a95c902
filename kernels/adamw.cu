// AdamW: the kernel of src/optim/adamw.rs.
//
// p *= 1 - lr*wd; m = b1*m + (1-b1)*g; v = b2*v + (1-b2)*g^2; p -= lr/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + eps)
// t counts the updates applied, this one included, from 1; b1 is the table's momentum.
//
// Layout, arithmetic: update.cuh. State: m, v. Owner: fours.cuh. No communication, bitwise repeatable. A thread computes the two powers
// once for its up to 32 parameters, and anew where a tensor ends.
// Cost: 16 bytes read and 14 written a parameter (25.6 M parameters: 0.77 GB), bound by memory on GPUs with full-rate f64; its two
// divisions and its root are some 40 f64 instructions, which bound it at a 1:64 rate.
// Status: emulated only; no GPU has run it.
#include "update.cuh"

namespace {

struct AdamW {
    static constexpr int kState = 2;
    f64 beta2, eps;

    struct Step {
        f64 keep, beta1, rate, root;
    };

    DEVICE Step begin(const Hyper& hyper) const {
        const uint64_t t = hyper.applied + 1;
        const f64 rate = hyper.lr / (1.0 - power(hyper.momentum, t));
        const f64 root = square_root(1.0 - power(beta2, t));
        return {1.0 - hyper.lr * hyper.weight_decay, hyper.momentum, rate, root};
    }

    DEVICE f64 update(const Step& step, f64, f64 p, f64 g, f64* state) const {
        const f64 m = step.beta1 * state[0] + (1.0 - step.beta1) * g;
        const f64 v = beta2 * state[1] + (1.0 - beta2) * (g * g);
        state[0] = m;
        state[1] = v;
        return p * step.keep - step.rate * (m / (square_root(v) / step.root + eps));
    }
};

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
adamw(float* params, const float* grads, float* state, bf16* shadow, UpdateControl* control, const UpdateRates* rates,
      const UpdateGroup* groups, UpdateShape shape, double beta2, double eps) {
    update_arena(AdamW{beta2, eps}, {params, grads, state, shadow}, {control, rates, groups, shape}, nullptr);
}
