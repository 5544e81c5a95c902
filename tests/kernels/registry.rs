//! Every kernel is launched by a case; and the guards that stand in for guard pages on a GPU.

use crate::device::{emulator, on};
use crate::planted::{mutant, probes};
use half::bf16;
use imagenet_engine::cuda::guarded::Guarded;
use imagenet_engine::cuda::handles;
use imagenet_engine::cuda::launch::{Dims, Driver, KernelInfo, PtrMut};
use imagenet_engine::cuda::memory::Array;
use imagenet_engine::progress::Silent;
use imagenet_engine::selftest::oracle::Pass;
use imagenet_engine::selftest::{Depth, Machine, OnDriver, conv, edges, kernel_edges, run};
use std::collections::BTreeSet;
use std::ptr::from_ref;

/// Files whose kernels compute nothing for training: they measure, and have tests of their own (ceilings.rs, bench.rs).
const NO_CASE: [&str; 2] = ["ceilings", "noise"];

#[test]
fn every_kernel_is_launched_by_a_case() {
    let cases: Vec<_> = kernel_edges().into_iter().chain(edges()).collect();
    let report = run(&on(emulator()), &cases, None, &Silent);
    let failures: Vec<_> = report.failures().collect();
    assert!(failures.is_empty(), "{failures:#?}");
    let launched: BTreeSet<&str> = report.outcomes.iter().flat_map(|o| o.kernels.iter().copied()).collect();
    let missing: BTreeSet<&str> = handles::ALL.iter().filter(|k| !launched.contains(k.name)).map(|k| k.file).collect();
    assert!(missing.iter().eq(NO_CASE.iter()), "no case of src/selftest launches kernels of {missing:?}");
    // and the table has a line for each, the JSON an entry a check
    let rows = report.rows();
    assert!(launched.iter().all(|k| rows.iter().any(|r| r.kernel == *k && r.cases > 0 && r.passed == r.cases)));
    let json = report.json();
    assert_eq!((json["passed"].as_u64(), json["failed"].as_u64()), (Some(report.outcomes.len() as u64), Some(0)));
    assert_eq!(json["cases"].as_array().map(Vec::len), Some(report.outcomes.len()));
}

/// As on a GPU: guard bytes instead of guard pages, and right kernels leave them alone.
#[test]
fn guard_bytes_do_not_disturb() {
    let device = OnDriver::new(emulator(), Machine::Gpu { wgmma: true }, "guarded");
    let cases =
        [conv::case::<bf16, _>(Pass::Fprop, conv::TAILED, Depth::Every), conv::case::<bf16, _>(Pass::Wgrad, conv::SPLIT, Depth::Every)];
    let report = run(&device, &cases.into_iter().flatten().collect::<Vec<_>>(), None, &Silent);
    assert!(report.failures().next().is_none() && report.outcomes.len() > 20, "{:#?}", report.failures().collect::<Vec<_>>());
}

#[test]
fn guard_bytes_see_a_write_beyond_the_end() {
    let edit = ("conv_fprop.cu", "pixel < pixels && filter < g.k", "filter < g.k");
    let device = OnDriver::new(mutant("guarded_store_beyond_last_pixel", "conv_fprop", &[edit]), Machine::Gpu { wgmma: true }, "guarded");
    let case = conv::case::<bf16, _>(Pass::Fprop, conv::TAILED, Depth::Every).unwrap();
    let checks: Vec<_> = case.prepare(&device).into_iter().filter(|c| c.detail.starts_with("m64n64")).collect();
    for check in &checks {
        let error = check.compute(&device).unwrap_err().to_string();
        assert!(error.contains("a kernel wrote 0 bytes after the end of an allocation of"), "{error}");
    }
    assert!(!checks.is_empty());
}

#[test]
fn guard_bytes_see_a_write_on_either_side_and_poison_what_is_new() {
    let device = Guarded::new(probes("probes.cu"), 4096);
    let info = KernelInfo { name: "writes_at", file: "probes", max_threads: 1024, argument_bytes: &[] };
    for (at, said) in [(0, None), (255, None), (256, Some("0 bytes after the end of an allocation of 1024")), (-1, Some("1 bytes before"))]
    {
        let mut data = Array::<f32, _>::new(&device, 256).unwrap();
        assert!(data.to_host().unwrap().iter().all(|v| v.is_nan()));
        device.check().unwrap();
        let (pointer, number): (PtrMut<f32>, i32) = (data.ptr_mut(), at);
        // SAFETY: every probe takes a float pointer and an int.
        unsafe {
            device.launch(
                &info,
                &Dims { grid: [1; 3], block: [32, 1, 1], shared_bytes: 0 },
                &[from_ref(&pointer).cast(), from_ref(&number).cast()],
            )
        }
        .unwrap();
        let result = device.check().map_err(|e| e.to_string());
        match said {
            None => assert_eq!(result, Ok(())),
            Some(text) => assert!(result.as_ref().unwrap_err().contains(text), "{result:?}"),
        }
    }
    device.check().unwrap(); // nothing is allocated any more
}
