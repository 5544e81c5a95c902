// What follows an optimizer's step: the moving average, bringing back what a skipped update must not change, and the counters.
//
// average: a = d*a + (1-d)*v with this update's d from the table, in f64, rounded once to f32; nothing if the update is skipped.
// restore_if_skipped: dst = src, only if the update is skipped. advance: one more update, and one more skipped where it was;
// its mean loss, for its report.
//
// Layout: arenas of len f32. `vector`: len is a multiple of four and both arenas are aligned to 16 bytes.
// Owner: fours.cuh; advance is one thread. No communication, bitwise repeatable.
// Cost: average reads 8 and writes 4 bytes an element, bound by memory; restore_if_skipped costs a launch where nothing was skipped.
// Status: emulated only; no GPU has run it.
#include "update.cuh"

extern "C" __global__ void __launch_bounds__(256)
average(const float* values, float* averages, uint64_t len, int vector, const UpdateControl* control, const UpdateRates* rates,
        uint64_t num_rates) {
    if (!control->finite) return;
    const f64 keep = rates_now(rates, num_rates, control).average_decay, enter = 1.0 - keep;
    for_my_fours(len, [&](uint64_t first, int count) {
        const Four v = load_four(values + first, count, vector);
        Four a = load_four(averages + first, count, vector);
#pragma unroll
        for (int i = 0; i < 4; i++) a.v[i] = static_cast<float>((keep * a.v[i] + enter * v.v[i]).v);
        store_four(averages + first, a, count, vector);
    });
}

extern "C" __global__ void __launch_bounds__(256)
restore_if_skipped(const float* src, float* dst, uint64_t len, int vector, const UpdateControl* control) {
    if (control->finite) return;
    for_my_fours(len, [&](uint64_t first, int count) { store_four(dst + first, load_four(src + first, count, vector), count, vector); });
}

extern "C" __global__ void __launch_bounds__(32) advance(UpdateControl* control) {
    if (threadIdx.x != 0) return;
    control->step += 1;
    control->skipped += control->finite == 0;
    control->mean_loss = (f64(control->loss) / f64(static_cast<double>(control->rows > 0 ? control->rows : 1))).v;
    control->loss = 0;
    control->rows = 0;
    control->loss_finite = 1;
}
