// Lion: the kernel of src/optim/lion.rs.
//
// p *= 1 - lr*wd; p -= lr * sign(b1*m + (1-b1)*g); m = b2*m + (1-b2)*g: the buffer moves after the step, by b2; sign(0) = 0.
// b1 is the table's momentum.
//
// Layout, arithmetic: update.cuh. State: m. Owner: fours.cuh. No communication, bitwise repeatable.
// Cost: 12 bytes read and 10 written a parameter, bound by memory on GPUs with full-rate f64; about 9 f64 operations a parameter.
// Status: emulated only; no GPU has run it.
#include "update.cuh"

namespace {

struct Lion {
    static constexpr int kState = 1;
    f64 beta2;

    struct Step {
        f64 lr, keep, beta1;
    };

    DEVICE Step begin(const Hyper& hyper) const { return {hyper.lr, 1.0 - hyper.lr * hyper.weight_decay, hyper.momentum}; }

    DEVICE f64 update(const Step& step, f64, f64 p, f64 g, f64* state) const {
        const f64 direction = step.beta1 * state[0] + (1.0 - step.beta1) * g;
        state[0] = beta2 * state[0] + (1.0 - beta2) * g;
        const f64 sign = direction > 0.0 ? 1.0 : direction < 0.0 ? -1.0 : 0.0;
        return p * step.keep - step.lr * sign;
    }
};

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
lion(float* params, const float* grads, float* state, bf16* shadow, UpdateControl* control, const UpdateRates* rates,
     const UpdateGroup* groups, UpdateShape shape, double beta2) {
    update_arena(Lion{beta2}, {params, grads, state, shadow}, {control, rates, groups, shape}, nullptr);
}
