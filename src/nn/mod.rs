//! Layers: parameters with torchvision's names and initialisation, and the ops that use them.

mod conv;
mod init;
mod linear;
mod module;
mod norm;

pub use conv::Conv2d;
pub use init::Init;
pub use linear::Linear;
pub use module::{Builder, Kind, Layout, ParamEntry, RunningEntry};
pub use norm::BatchNorm2d;
