//! Pooling, under every schedule.

use crate::device::{emulator, every_layer, pass_under_all_schedules};
use imagenet_engine::cuda::memory::Array;
use imagenet_engine::cuda::pool;
use imagenet_engine::selftest;
use imagenet_engine::selftest::pool::problem;

#[test]
fn windows() {
    pass_under_all_schedules(&selftest::pool::edges());
    every_layer("pool");
}

#[test]
fn unusable_windows_are_errors() {
    for pr in
        [problem(1, (4, 4), 8, 17, 1, 8), problem(1, (4, 4), 8, 2, 1, 2), problem(1, (4, 4), 8, 2, 0, 0), problem(1, (1, 4), 8, 3, 1, 0)]
    {
        let device = emulator();
        let (x, mut y) = (Array::<f32, _>::new(&device, 128).unwrap(), Array::<f32, _>::new(&device, 128).unwrap());
        let mut position = Array::<u8, _>::new(&device, 128).unwrap();
        let error = pool::max(&device, &pr, x.ptr(), y.ptr_mut(), position.ptr_mut()).unwrap_err().to_string();
        assert!(error.contains("max_pool"), "{error}");
    }
}
