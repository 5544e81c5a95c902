//! Crop, resize, mirror, normalise, under every schedule.

use crate::device::{every_layer, pass_under_all_schedules};
use imagenet_engine::backend::PictureView;
use imagenet_engine::cuda::augment::pictures;
use imagenet_engine::selftest::augment::{self, view};

#[test]
fn crops() {
    pass_under_all_schedules(&augment::edges());
    every_layer("augment");
}

#[test]
fn crops_outside_are_errors() {
    let good = view(0, 10, 10, (2, 2, 8, 8), false);
    assert!(pictures(&[good], 300).is_ok());
    for bad in [
        PictureView { offset: 1, ..good },
        PictureView { offset: usize::MAX, ..good },
        view(0, 10, 10, (3, 2, 8, 8), false),
        view(0, 10, 10, (2, 2, 0, 8), false),
        view(0, 10, 10, (2, u32::MAX, 8, 8), false),
    ] {
        assert!(pictures(&[bad], 300).unwrap_err().to_string().contains("augment"), "{bad:?}");
    }
}
