//! ReLU, its gradient, sums and conversions, under every schedule.

use crate::device::pass_under_all_schedules;
use imagenet_engine::selftest::elementwise;

#[test]
fn every_length() {
    pass_under_all_schedules(&elementwise::edges());
    pass_under_all_schedules(&[elementwise::conversions()]);
}
