//! Where the time of a step goes, by op and direction.

use std::time::Duration;

/// One op's share.
#[derive(Clone, Debug)]
pub struct ProfileRow {
    pub op: &'static str,
    pub backward: bool,
    pub calls: u64,
    pub total: Duration,
}

/// Sums over the steps it was handed to.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    rows: Vec<ProfileRow>,
}

impl Profile {
    pub fn add(&mut self, op: &'static str, backward: bool, time: Duration) {
        match self.rows.iter_mut().find(|r| r.op == op && r.backward == backward) {
            Some(row) => {
                row.calls += 1;
                row.total += time;
            }
            None => self.rows.push(ProfileRow { op, backward, calls: 1, total: time }),
        }
    }

    /// In order of first appearance.
    pub fn rows(&self) -> &[ProfileRow] {
        &self.rows
    }
}
