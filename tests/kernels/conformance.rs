//! Every wrapper of an instruction against the manual, under every schedule.

use crate::device::pass_under_all_schedules;
use imagenet_engine::selftest::{conformance, wgmma};

#[test]
fn wrappers_of_instructions() {
    pass_under_all_schedules(&conformance::cases());
}

#[test]
fn wrappers_of_wgmma() {
    pass_under_all_schedules(&wgmma::cases());
}
