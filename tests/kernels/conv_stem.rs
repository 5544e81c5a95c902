//! The stem by space-to-depth, under every schedule; what is no stem is refused.

use crate::device::pass_under_all_schedules;
use imagenet_engine::cuda::conv_stem::{applies, arranged};
use imagenet_engine::selftest::conv::problem;
use imagenet_engine::selftest::conv_stem;
use imagenet_engine::shape::ConvProblem;

#[test]
fn equals_the_seven_by_seven() {
    pass_under_all_schedules(&conv_stem::edges());
}

#[test]
fn others_are_refused() {
    let pr = problem((1, 4, 4, 3, 8), (7, 7), 2, 3);
    let over = arranged(&pr).unwrap();
    assert_eq!((over.p(), over.q()), (pr.p(), pr.q()));
    for other in [ConvProblem { h: 5, ..pr }, ConvProblem { pad: 2, ..pr }, ConvProblem { c: 4, ..pr }, ConvProblem { k: 9, ..pr }] {
        assert!(!applies(&other) && arranged(&other).is_err());
    }
}
