//! The CPU has nothing to gain by recording: an op is a call.

use super::{Cpu, Real};
use crate::backend::{Launched, Replay};
use crate::error::{Error, Result};
use std::convert::Infallible;

impl<T: Real> Replay for Cpu<T> {
    type Recording = Infallible;

    fn records(&self) -> bool {
        false
    }

    fn record(&self, _work: &mut dyn FnMut() -> Result<()>) -> Result<Infallible> {
        Err(Error::internal("the CPU does not record").at("record"))
    }

    fn time_launches(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Option<Vec<Launched>>> {
        work().map(|()| None)
    }

    fn replay(&self, recording: &Infallible) -> Result<()> {
        match *recording {}
    }
}
