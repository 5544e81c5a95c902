//! The stem by space-to-depth gives what the 7x7 convolution gives: exactly, on integers.

use crate::common::tolerance::equal;
use crate::common::{integers, oracle};
use crate::conv::problem;
use crate::device::{down, emulator, output, rounded, same_under_all_schedules, up};
use half::bf16;
use imagenet_engine::cuda::conv::{self, Split, Variant};
use imagenet_engine::cuda::conv_stem;
use imagenet_engine::cuda::emulated::Emulator;
use imagenet_engine::cuda::memory::Array;
use imagenet_engine::error::Result;
use imagenet_engine::shape::ConvProblem;

/// The output, and the gradient by the filters added to ones.
pub fn run(device: &Emulator, pr: &ConvProblem, x: &[f64], w: &[f64], dy: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
    let over = conv_stem::arranged(pr)?;
    let (x, w, dy) = (up::<bf16>(device, x), up::<bf16>(device, w), up::<bf16>(device, dy));
    let (mut ax, mut aw) = (output::<bf16>(device, over.x_len()), output::<bf16>(device, over.w_len()));
    conv_stem::arrange::<bf16, _>(device, pr, x.ptr(), ax.ptr_mut())?;
    conv_stem::arrange_filters(device, pr, w.ptr(), aw.ptr_mut())?;
    let mut y = output::<bf16>(device, over.y_len());
    conv::fprop(device, &over, Variant::M128N64, ax.ptr(), aw.ptr(), y.ptr_mut())?;
    let split = Split::new(&over, Variant::M64N64, 3);
    let (mut slabs, mut tickets) = (output::<f32>(device, split.slab_len), Array::from_host(device, &vec![0u32; split.tickets])?);
    let (mut adw, mut dw) = (output::<f32>(device, over.w_len()), up::<f32>(device, &vec![1.0; pr.w_len()]));
    let (s, t) = (slabs.ptr_mut(), tickets.ptr_mut());
    conv::wgrad(device, &over, Variant::M64N64, &split, ax.ptr(), dy.ptr(), adw.ptr_mut(), s, t, false)?;
    conv_stem::gather_gradient(device, pr, adw.ptr(), dw.ptr_mut(), true)?;
    Ok((down(&y), down(&dw)))
}

#[test]
fn equals_the_seven_by_seven() {
    for (n, h, w, k) in [(1, 2, 2, 8), (2, 20, 16, 64), (1, 34, 6, 24)] {
        let pr = problem((n, h, w, 3, k), (7, 7), 2, 3);
        let over = conv_stem::arranged(&pr).unwrap();
        assert_eq!((over.p(), over.q()), (pr.p(), pr.q()));
        let (x, filters, dy) = (integers(1, pr.x_len()), integers(2, pr.w_len()), integers(3, pr.y_len()));
        let got = same_under_all_schedules("stem", |device| {
            let (y, dw) = run(device, &pr, &x, &filters, &dy).unwrap();
            [y, dw].concat()
        });
        let dw: Vec<f64> = oracle::conv_wgrad(&pr, &x, &dy).iter().map(|v| v + 1.0).collect();
        equal(&got, &[rounded::<bf16>(&oracle::conv_fprop(&pr, &x, &filters)), dw].concat()).unwrap_or_else(|e| panic!("{pr:?}: {e}"));
    }
}

/// From f32 pictures, as augmentation may leave them; and what is not a stem is refused.
#[test]
fn arranges_f32_and_refuses_others() {
    let pr = problem((1, 4, 4, 3, 8), (7, 7), 2, 3);
    let device = emulator();
    let x = integers(1, pr.x_len());
    let over = conv_stem::arranged(&pr).unwrap();
    let (wide, narrow) = (up::<f32>(&device, &x), up::<bf16>(&device, &x));
    let (mut a, mut b) = (output::<bf16>(&device, over.x_len()), output::<bf16>(&device, over.x_len()));
    conv_stem::arrange::<f32, _>(&device, &pr, wide.ptr(), a.ptr_mut()).unwrap();
    conv_stem::arrange::<bf16, _>(&device, &pr, narrow.ptr(), b.ptr_mut()).unwrap();
    equal(&down(&a), &down(&b)).unwrap();
    for other in [ConvProblem { h: 5, ..pr }, ConvProblem { pad: 2, ..pr }, ConvProblem { c: 4, ..pr }, ConvProblem { k: 9, ..pr }] {
        assert!(!conv_stem::applies(&other) && conv_stem::arranged(&other).is_err());
    }
}
