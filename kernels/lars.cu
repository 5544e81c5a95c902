// LARS: the kernels of src/optim/lars.rs.
//
// lars_norms: per tensor trust = c*|p| / (|g| + wd*|p| + eps), 1 where either norm is 0 or the tensor has no decay.
// lars: g = (g + wd*p) * trust; b = mu*b + g; p -= lr*b (Nesterov: p -= lr*(g + mu*b)).
//
// Layout, arithmetic: update.cuh. State: the buffer b. Owner: a block of lars_norms has a piece of a tensor (layerwise.cuh); lars as in
// fours.cuh. Fixed orders: bitwise repeatable.
// Cost: lars_norms reads 8 bytes a parameter, lars reads 12 and writes 10, both bound by memory on GPUs with full-rate f64.
// Status: emulated only; no GPU has run it.
#include "layerwise.cuh"

namespace {

struct Lars {
    static constexpr int kState = 1;
    f64 trust_coefficient, eps;
    bool nesterov;

    struct Step {
        f64 lr, momentum, weight_decay;
    };

    DEVICE Step begin(const Hyper& hyper) const { return {hyper.lr, hyper.momentum, hyper.weight_decay}; }

    DEVICE f64 measure(const Step&, f64, f64 g, const f64*) const { return g; }

    DEVICE f64 trust(const Step& step, f64 weight_norm, f64 grad_norm) const {
        if (step.weight_decay == 0.0 || weight_norm == 0.0 || grad_norm == 0.0) return 1.0;
        return trust_coefficient * weight_norm / (grad_norm + weight_norm * step.weight_decay + eps);
    }

    DEVICE f64 update(const Step& step, f64 trust, f64 p, f64 gradient, f64* state) const {
        const f64 g = (gradient + step.weight_decay * p) * trust;
        const f64 b = step.momentum * state[0] + g;
        state[0] = b;
        const f64 d = nesterov ? g + step.momentum * b : b;
        return p - step.lr * d;
    }
};

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
lars_norms(float* params, const float* grads, float* state, UpdateControl* control, const UpdateRates* rates, const UpdateGroup* groups,
           UpdateShape shape, const UpdatePiece* pieces, double* slabs, uint32_t* tickets, double* trusts, double trust_coefficient,
           double eps) {
    measure_tensors(Lars{trust_coefficient, eps, false}, {params, grads, state, nullptr}, {control, rates, groups, shape}, pieces, slabs,
                    tickets, trusts);
}

extern "C" __global__ void __launch_bounds__(256)
lars(float* params, const float* grads, float* state, bf16* shadow, UpdateControl* control, const UpdateRates* rates,
     const UpdateGroup* groups, UpdateShape shape, const double* trusts, int nesterov) {
    update_arena(Lars{0.0, 0.0, nesterov != 0}, {params, grads, state, shadow}, {control, rates, groups, shape}, trusts);
}
