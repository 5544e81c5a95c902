// The loop that every optimizer's kernel shares: a rule over one flat arena of parameters.
//
// A rule is a struct that mirrors its Rust body in src/optim, in f64.cuh's arithmetic:
//   static constexpr int kState;                                     numbers of state a parameter
//   struct Step;                                                     what is the same for all parameters of a tensor
//   Step begin(const Hyper&) const;
//   f64 update(const Step&, f64 trust, f64 p, f64 g, f64* state) const;  the new parameter; advances `state`
// and for rules with a trust ratio `measure` and `trust` (layerwise.cuh). A new one is: the rule in src/optim; its kernel file, which
// holds little more than that struct (lion.cu is the shortest); an arm in src/cuda/update_rules.rs; a test in tests/kernels/update_rules.rs.
//
// Whatever changes from update to update is read from device memory, so that a captured step replays: rate and momentum are row
// control->step of the table (the last holds past its end), and the counters tell how many updates were applied before. If losses or
// gradients were not finite, nothing changes. If the update makes a number that is not, control->overflowed says so.
//
// Arithmetic in f64, stored in f32: the f64 rule's step rounded once, bit for bit what the Rust body gives.
//
// Layout: params, grads arenas of len f32; state kState such arenas, one after the other; shadow, bf16, gets the new parameters rounded
//   to nearest even, and may be null. Tensors lie one after the other without gaps, so a border may fall between any two of a four.
#pragma once
#include "arguments.cuh"
#include "f64.cuh"
#include "fours.cuh"

// What one update depends on besides parameter, gradient and state; crate::backend::Hyper.
struct Hyper {
    f64 lr, momentum, weight_decay;
    uint64_t applied;
};

struct Arenas {
    float* params;
    const float* grads;
    float* state;
    bf16* shadow;
};

DEVICE const UpdateRates& rates_now(const UpdateRates* rates, uint64_t num_rates, const UpdateControl* control) {
    return rates[min(control->step, num_rates - 1)];
}

// Where the update stands.
struct Setting {
    UpdateControl* control;
    const UpdateRates* rates;
    const UpdateGroup* groups;
    const UpdateShape& shape;

    DEVICE Hyper hyper(int group) const {
        const UpdateRates& now = rates_now(rates, shape.num_rates, control);
        return {now.lr, now.momentum, groups[group].weight_decay, control->step - control->skipped};
    }
    // The tensor that holds parameter `at`: the first that ends beyond it.
    DEVICE int group_of(uint64_t at) const {
        int low = 0, high = shape.num_groups - 1;
        while (low < high) {
            const int middle = (low + high) / 2;
            if (groups[middle].end > at) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    }
};

// `trusts` holds a ratio a tensor; null where the rule has none.
template <class Rule>
DEVICE void update_arena(const Rule& rule, const Arenas& arenas, const Setting& now, const double* trusts) {
    if (!now.control->finite) return;
    const f64 scale = now.control->scale;
    const bool vector = now.shape.vector != 0;
    typename Rule::Step step{};
    f64 trust = 1.0;
    uint64_t end = 0;  // of the tensor that `step` and `trust` are of; parameters come in ascending order
    bool sound = true;
    for_my_fours(now.shape.len, [&](uint64_t first, int count) {
        Four p = load_four(arenas.params + first, count, vector);
        const Four g = load_four(arenas.grads + first, count, vector);
        Four state[Rule::kState];
#pragma unroll
        for (int s = 0; s < Rule::kState; s++) state[s] = load_four(arenas.state + s * now.shape.len + first, count, vector);
        // Once, but for a four in which tensors end. `from` and `until` count from `first`.
        for (int from = 0; from < count;) {
            if (first + from >= end) {
                const int group = now.group_of(first + from);
                step = rule.begin(now.hyper(group));
                if (trusts) trust = trusts[group];
                end = now.groups[group].end;
            }
            const int ends = end - first < static_cast<uint64_t>(count) ? static_cast<int>(end - first) : count;
            const int until = max(ends, from + 1);  // a wrong table of tensors must not hang
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (i < from || i >= until) continue;
                f64 own[Rule::kState];
#pragma unroll
                for (int s = 0; s < Rule::kState; s++) own[s] = state[s].v[i];
                p.v[i] = static_cast<float>(rule.update(step, trust, p.v[i], scale * g.v[i], own).v);
                sound &= is_finite(p.v[i]);
#pragma unroll
                for (int s = 0; s < Rule::kState; s++) {
                    state[s].v[i] = static_cast<float>(own[s].v);
                    sound &= is_finite(state[s].v[i]);
                }
            }
            from = until;
        }
        store_four(arenas.params + first, p, count, vector);
#pragma unroll
        for (int s = 0; s < Rule::kState; s++) store_four(arenas.state + s * now.shape.len + first, state[s], count, vector);
        if (arenas.shadow) store_four(arenas.shadow + first, p, count, vector);
    });
    if (!sound) now.control->overflowed = 1;  // whoever writes writes the same
}
