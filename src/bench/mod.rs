//! Measures the CUDA kernels at the shapes of a training step, against the ceilings of the same machine in the same run.
//!
//! | file | what |
//! |---|---|
//! | [`ceilings`] | copy and L2 bandwidth, the rates of the tensor cores |
//! | `subjects` | the cases, a file a subject and a line in the table of [`subjects::table`] |
//! | [`case`] | a case, and arrays that count the bytes a kernel must move |
//! | [`report`] | the rows as text, CSV and JSON |
//! | [`step`] | a whole step's launches by operation |
//! | [`loading`], [`host`] | the loader, and what measuring on a CPU needs |
//! | [`records`] | which kernels a GPU has run since they changed |
//!
//! Generic over the driver: the emulator runs the same code on small problems, which shows that every launch is right and says nothing
//! about speed.

pub mod case;
pub mod ceilings;
pub mod host;
pub mod loading;
pub mod records;
pub mod report;
pub mod step;
pub mod subjects;

use crate::cuda::launch::{Dims, KernelInfo};
use crate::cuda::memory::Array;
use crate::cuda::recorder::Recorder;
use crate::cuda::timed::Timed;
use crate::error::{Error, Result};
use case::Case;
use ceilings::Ceilings;
use subjects::Workload;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    pub workload: Workload,
    /// Only cases whose label contains this.
    pub only: Option<String>,
    /// Timed runs of each case.
    pub repeats: usize,
}

/// One case, measured.
#[derive(Clone, Debug)]
pub struct Row {
    pub op: String,
    pub shape: String,
    pub variant: &'static str,
    /// Times per training step; 0 for what a step does not use.
    pub times: usize,
    pub launches: Vec<(KernelInfo, Dims)>,
    /// Of one run.
    pub flop: f64,
    pub bytes: f64,
    /// Of each run, ascending; none where times mean nothing.
    pub seconds: Option<Vec<f64>>,
}

impl Row {
    pub fn median(&self) -> Option<f64> {
        self.seconds.as_ref().and_then(|s| s.get(s.len() / 2).copied())
    }

    /// The least time the work can take.
    pub fn floor(&self, ceilings: &Ceilings) -> Option<f64> {
        Some((self.flop / ceilings.peak()?).max(self.bytes / ceilings.copy?))
    }
}

/// What a run gave.
#[derive(Clone, Debug)]
pub struct Report {
    pub ceilings: Ceilings,
    /// The launches that the ceilings were measured with.
    pub of_ceilings: Vec<(KernelInfo, Dims)>,
    pub rows: Vec<Row>,
    pub batch: usize,
}

/// L2 is overwritten this often, and with at least so much, which also keeps the device busy while the next launches are enqueued.
const FLUSH_FACTOR: usize = 2;
const LEAST_FLUSH: usize = 256 << 20;

/// Overwrites the L2 cache.
struct Flush<D: Timed> {
    driver: D,
    junk: Option<Array<u8, D>>,
}

impl<D: Timed> Flush<D> {
    fn new(driver: &D) -> Result<Self> {
        let l2 = driver.properties().l2_bytes;
        let junk = (l2 > 0).then(|| Array::new(driver, (FLUSH_FACTOR * l2).max(LEAST_FLUSH))).transpose()?;
        Ok(Self { driver: driver.clone(), junk })
    }

    fn run(&mut self) -> Result<()> {
        match &mut self.junk {
            Some(junk) => self.driver.fill(junk.address(), 0x5A, junk.len()),
            None => Ok(()),
        }
    }
}

/// What happened so far, for who waits.
pub enum Progress<'a> {
    Ceilings(&'a Ceilings),
    Row(&'a Row, &'a Ceilings),
}

/// Measures the ceilings, then every case of `options`.
///
/// # Errors
/// `Usage` if no case matches; of the device and of the launches.
pub fn run<D: Timed>(driver: &D, options: &Options, said: &mut dyn FnMut(Progress<'_>)) -> Result<Report> {
    let recorder = Recorder::new(driver.clone());
    let cases: Vec<Case<Recorder<D>>> = subjects::cases(&options.workload);
    let wanted = |c: &Case<_>| options.only.as_deref().is_none_or(|only| c.label().contains(only));
    let wanted: Vec<_> = cases.iter().filter(|c| wanted(c)).collect();
    if wanted.is_empty() {
        let mut ops: Vec<_> = cases.iter().map(|c| c.op.as_str()).collect();
        ops.dedup();
        return Err(Error::usage("no case matches").at("--only").next(format!("part of an operation's name: {}", ops.join(", "))));
    }
    let ceilings = ceilings::measure(&recorder)?;
    let of_ceilings = recorder.take();
    said(Progress::Ceilings(&ceilings));
    let mut flush = Flush::new(driver)?;
    let mut rows = Vec::new();
    for case in wanted {
        let row = measure(&recorder, case, options.repeats, &mut flush)
            .map_err(|e| Error::device(format!("{} could not be measured", case.label())).source(e).next("the same with --only, alone"))?;
        said(Progress::Row(&row, &ceilings));
        rows.push(row);
    }
    Ok(Report { ceilings, of_ceilings, rows, batch: options.workload.batch })
}

fn measure<D: Timed>(recorder: &Recorder<D>, case: &Case<Recorder<D>>, repeats: usize, flush: &mut Flush<D>) -> Result<Row> {
    let mut prepared = case.prepare(recorder)?;
    recorder.take();
    // Loads the kernels and shows which there are.
    (prepared.run)()?;
    recorder.synchronize()?;
    let launches = recorder.take();
    let mut seconds = recorder.time(repeats, &mut || flush.run(), &mut *prepared.run)?;
    if let Some(s) = &mut seconds {
        s.sort_by(f64::total_cmp);
    }
    let (op, shape) = (case.op.clone(), case.shape.clone());
    Ok(Row { op, shape, variant: case.variant, times: case.times, launches, flop: prepared.flop, bytes: prepared.bytes, seconds })
}

impl Report {
    /// Every launch, with the dimensions it had.
    pub fn launches(&self) -> impl Iterator<Item = &(KernelInfo, Dims)> {
        self.of_ceilings.iter().chain(self.rows.iter().flat_map(|r| &r.launches))
    }
}
