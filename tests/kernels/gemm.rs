//! The linear layer, under every schedule.

use crate::device::{every_layer, pass_under_all_schedules};
use imagenet_engine::selftest::gemm;

#[test]
fn edges_of_tiles() {
    pass_under_all_schedules(&gemm::edges());
}

#[test]
fn classifiers_of_every_resnet() {
    every_layer("gemm");
}
