// SGD with momentum, dampening and Nesterov: the kernel of src/optim/sgd.rs.
//
// g = scale * grad + wd * p;  b = mu * b + entering * g;  d = nesterov ? g + mu * b : b;  p -= lr * d
// `entering` is 1 at the first update applied (torch's first buffer is g) and 1 - dampening later.
//
// Layout, arithmetic: update.cuh. State: the buffer b. Owner: fours.cuh. No communication, bitwise repeatable.
// Cost: 12 bytes read and 10 written a parameter (25.6 M parameters: 0.56 GB), bound by memory on GPUs with full-rate f64; about 9 f64
// operations a parameter stay near that even at a 1:64 rate.
// Status: emulated only; no GPU has run it.
#include "update.cuh"

namespace {

struct Sgd {
    static constexpr int kState = 1;
    f64 dampening;
    bool nesterov;

    struct Step {
        f64 lr, momentum, entering, weight_decay;
    };

    DEVICE Step begin(const Hyper& hyper) const {
        const f64 entering = hyper.applied == 0 ? f64(1.0) : 1.0 - dampening;
        return {hyper.lr, hyper.momentum, entering, hyper.weight_decay};
    }

    DEVICE f64 update(const Step& step, f64, f64 p, f64 gradient, f64* state) const {
        const f64 g = gradient + step.weight_decay * p;
        const f64 b = step.momentum * state[0] + step.entering * g;
        state[0] = b;
        const f64 d = nesterov ? g + step.momentum * b : b;
        return p - step.lr * d;
    }
};

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
sgd(float* params, const float* grads, float* state, bf16* shadow, UpdateControl* control, const UpdateRates* rates,
    const UpdateGroup* groups, UpdateShape shape, double dampening, int nesterov) {
    update_arena(Sgd{dampening, nesterov != 0}, {params, grads, state, shadow}, {control, rates, groups, shape}, nullptr);
}
