// LAMB: the kernels of src/optim/lamb.rs.
//
// m = b1*m + (1-b1)*g; v = b2*v + (1-b2)*g^2; u = m/(1-b1^t) / (sqrt(v)/sqrt(1-b2^t) + eps) + wd*p
// lamb_norms: per tensor trust = |p|/|u|, 1 where either norm is 0 or the tensor has no decay. lamb: p -= lr * trust * u.
// t counts the updates applied, this one included, from 1; b1 is the table's momentum. Both kernels compute m, v and u from the same
// numbers, so that u need not be stored and nothing is rounded between the two.
//
// Layout, arithmetic: update.cuh. State: m, v. Owner: a block of lamb_norms has a piece of a tensor (layerwise.cuh); lamb as in
// fours.cuh. Fixed orders: bitwise repeatable.
// Cost: lamb_norms reads 16 bytes a parameter; lamb reads 16 and writes 14. Bound by memory on GPUs with full-rate f64, by f64 elsewhere.
// Status: emulated only; no GPU has run it.
#include "layerwise.cuh"

namespace {

struct Lamb {
    static constexpr int kState = 2;
    f64 beta2, eps;

    struct Step {
        f64 lr, beta1, weight_decay, correction, root;
    };

    DEVICE Step begin(const Hyper& hyper) const {
        const uint64_t t = hyper.applied + 1;
        const f64 correction = 1.0 - power(hyper.momentum, t), root = square_root(1.0 - power(beta2, t));
        return {hyper.lr, hyper.momentum, hyper.weight_decay, correction, root};
    }

    // u; writes m and v.
    DEVICE f64 direction(const Step& step, f64 p, f64 g, const f64* state, f64& m, f64& v) const {
        m = step.beta1 * state[0] + (1.0 - step.beta1) * g;
        v = beta2 * state[1] + (1.0 - beta2) * (g * g);
        return m / step.correction / (square_root(v) / step.root + eps) + step.weight_decay * p;
    }

    DEVICE f64 measure(const Step& step, f64 p, f64 g, const f64* state) const {
        f64 m, v;
        return direction(step, p, g, state, m, v);
    }

    DEVICE f64 trust(const Step& step, f64 weight_norm, f64 direction_norm) const {
        if (step.weight_decay == 0.0 || weight_norm == 0.0 || direction_norm == 0.0) return 1.0;
        return weight_norm / direction_norm;
    }

    DEVICE f64 update(const Step& step, f64 trust, f64 p, f64 g, f64* state) const {
        f64 m, v;
        const f64 u = direction(step, p, g, state, m, v);
        state[0] = m;
        state[1] = v;
        return p - step.lr * trust * u;
    }
};

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
lamb_norms(float* params, const float* grads, float* state, UpdateControl* control, const UpdateRates* rates, const UpdateGroup* groups,
           UpdateShape shape, const UpdatePiece* pieces, double* slabs, uint32_t* tickets, double* trusts, double beta2, double eps) {
    measure_tensors(Lamb{beta2, eps}, {params, grads, state, nullptr}, {control, rates, groups, shape}, pieces, slabs, tickets, trusts);
}

extern "C" __global__ void __launch_bounds__(256)
lamb(float* params, const float* grads, float* state, bf16* shadow, UpdateControl* control, const UpdateRates* rates,
     const UpdateGroup* groups, UpdateShape shape, const double* trusts, double beta2, double eps) {
    update_arena(Lamb{beta2, eps}, {params, grads, state, shadow}, {control, rates, groups, shape}, trusts);
}
