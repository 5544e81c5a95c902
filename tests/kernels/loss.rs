//! Cross-entropy, under every schedule.

use crate::device::pass_under_all_schedules;
use imagenet_engine::selftest::{loss, oracle};

#[test]
fn rows() {
    pass_under_all_schedules(&loss::edges());
    pass_under_all_schedules(&[loss::refused()]);
}

/// The case of the confident row bites: in f32 the difference of logarithms is zero.
#[test]
fn differences_of_logarithms_would_not_pass() {
    assert!(f64::from((20.0f32.exp() + 1.0 + 1.0f32.exp()).ln() - 20.0) == 0.0);
    assert!(oracle::row_losses(3, 0.0, &[20.0, 0.0, 1.0], &[0])[0] > 1e-9);
}
