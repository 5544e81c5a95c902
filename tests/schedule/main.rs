//! Learning-rate schedules: against PyTorch's own, at the edges where others fail, and by random testing.

mod edges;
mod golden;
mod properties;
