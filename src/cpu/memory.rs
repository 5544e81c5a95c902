//! Buffers from a pool.
//!
//! A training step asks for the same sizes again and again. Dropped memory goes to a free list by size class (eight classes per
//! octave, so at most 12.5% is wasted). A new large block first returns free ones of other sizes to the operating system, as far as the
//! pool would otherwise hold 2% more than what was ever in use: backward's last and largest gradients would else be taken
//! beside all the small activations that it has freed.
//! Memory is made of 64-byte lines: rows of activations then start on cache lines, and one list serves f32, f64 and bytes. Large
//! blocks ask for huge pages, since the GEMM's strided reads touch a page per row. A pool of paper keeps the same lists without any
//! memory behind them, so that what a run will take is counted by the code that takes it.

use super::{Cpu, Real};
use crate::backend::Memory;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// One cache line.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Bytes from which a block is mapped by itself, in huge pages if the system has them.
const LARGE: usize = 2 << 20;
/// The pool may hold a 50th more than was in use at most.
const SLACK: usize = 50;

/// Zeroed memory: from the allocator, or a mapping of its own. Of a pool of paper, none.
enum Storage {
    Lines(Vec<Line>),
    Mapped(memmap2::MmapMut),
    Paper,
}

impl Storage {
    fn new(lines: usize) -> Self {
        if lines * 64 >= LARGE
            && let Ok(map) = memmap2::MmapMut::map_anon(lines * 64)
        {
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage); // a wish: small pages work as well
            return Self::Mapped(map);
        }
        Self::Lines(vec![bytemuck::Zeroable::zeroed(); lines])
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Lines(lines) => bytemuck::cast_slice(lines),
            Self::Mapped(map) => map,
            Self::Paper => &[],
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Lines(lines) => bytemuck::cast_slice_mut(lines),
            Self::Mapped(map) => map,
            Self::Paper => &mut [],
        }
    }
}

/// A block on the free list: its memory, and how much of it was ever used.
struct Piece {
    storage: Storage,
    touched: usize,
}

#[derive(Default)]
struct Free {
    lists: HashMap<usize, Vec<Piece>>,
    in_use: usize,
    peak: usize,
    held: usize,
    /// Bytes of what is held that were used at some time: the rest of a block stays with the operating system.
    touched: usize,
    /// The most of both so far.
    most: (usize, usize),
    paper: bool,
}

impl Free {
    /// Takes large blocks that wait off the lists until `bytes` more are within the slack, from the list with the most bytes first. They
    /// go back to the operating system when the caller drops them.
    fn give_back(&mut self, bytes: usize) -> Vec<Piece> {
        let mut given = Vec::new();
        while self.held + bytes > self.peak + self.peak / SLACK {
            let large = self.lists.iter_mut().filter(|(lines, pieces)| **lines * 64 >= LARGE && !pieces.is_empty());
            let Some((lines, pieces)) = large.max_by_key(|(lines, pieces)| (**lines * pieces.len(), **lines)) else { break };
            let lines = *lines;
            given.extend(pieces.pop().inspect(|piece| {
                self.held -= lines * 64;
                self.touched -= piece.touched;
            }));
        }
        given
    }
}

/// The free list, shared by all handles of one device.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Free>>);

/// `lines` rounded up to its size class.
fn class(lines: usize) -> usize {
    let step = (lines.next_power_of_two() / 16).max(1);
    lines.div_ceil(step) * step
}

impl Pool {
    /// Without memory: only the counters mean something.
    pub(super) fn paper() -> Self {
        Self(Arc::new(Mutex::new(Free { paper: true, ..Free::default() })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Free> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // the counters stay meaningful even after a panic elsewhere
    }

    /// Most bytes of the operating system that were held at one time, and most of them that were used.
    pub(super) fn held(&self) -> (usize, usize) {
        self.lock().most
    }

    /// Memory for `bytes` bytes of unspecified content.
    pub(super) fn take(&self, bytes: usize) -> Block {
        let lines = class(bytes.div_ceil(64).max(1));
        let mut free = self.lock();
        free.in_use += lines * 64;
        free.peak = free.peak.max(free.in_use);
        let found = free.lists.get_mut(&lines).and_then(Vec::pop);
        let mut given = Vec::new();
        if found.is_none() {
            if lines * 64 >= LARGE {
                given = free.give_back(lines * 64);
            }
            free.held += lines * 64;
        }
        let before = found.as_ref().map_or(0, |piece| piece.touched);
        let touched = before.max(touched(bytes, lines));
        free.touched += touched - before;
        free.most = (free.most.0.max(free.held), free.most.1.max(free.touched));
        let paper = free.paper;
        drop(free);
        drop(given); // unmapped before the new block is mapped, and outside of the lock
        let new = || if paper { Storage::Paper } else { Storage::new(lines) };
        let storage = found.map_or_else(new, |piece| piece.storage);
        Block { storage, lines, touched, pool: self.clone() }
    }
}

/// Bytes of memory behind `bytes` of a block of `lines`: whole pages, which are huge in a large block.
fn touched(bytes: usize, lines: usize) -> usize {
    let page = if lines * 64 >= LARGE { LARGE } else { 4096 };
    bytes.next_multiple_of(page).min(lines * 64)
}

/// Memory that goes back to its pool when dropped.
pub(super) struct Block {
    storage: Storage,
    lines: usize,
    touched: usize,
    pool: Pool,
}

impl Block {
    fn bytes(&self) -> &[u8] {
        self.storage.bytes()
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.storage.bytes_mut()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let storage = std::mem::replace(&mut self.storage, Storage::Paper);
        let mut free = self.pool.lock();
        free.in_use -= self.lines * 64;
        free.lists.entry(self.lines).or_default().push(Piece { storage, touched: self.touched });
    }
}

/// `len` elements of T.
pub struct Buffer<T> {
    block: Block,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Real> Buffer<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        &bytemuck::cast_slice(self.block.bytes())[..self.len]
    }
    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(self.block.bytes_mut())[..self.len]
    }
}

/// `len` bytes from the pool.
pub struct Bytes {
    block: Block,
    len: usize,
}

impl Bytes {
    /// What they are.
    pub fn to_vec(&self) -> Vec<u8> {
        self.as_slice().to_vec()
    }
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.block.bytes()[..self.len]
    }
    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.block.bytes_mut()[..self.len]
    }
}

impl<T: Real> Cpu<T> {
    /// Most bytes that buffers held at one time so far.
    pub fn peak_bytes(&self) -> usize {
        self.pool.lock().peak
    }

    /// Most bytes of the operating system at one time so far: in use or waiting on the free list.
    pub fn held_bytes(&self) -> usize {
        self.pool.lock().most.0
    }

    /// Most of the bytes at one time that had been used, in whole pages.
    pub fn touched_bytes(&self) -> usize {
        self.pool.lock().most.1
    }

    /// Bytes that hold `host`.
    pub fn bytes_of(&self, host: &[u8]) -> Bytes {
        let mut bytes = Bytes { block: self.pool.take(host.len()), len: host.len() };
        bytes.as_mut_slice().copy_from_slice(host);
        bytes
    }

    /// As [`Memory::empty`], for kernels' own use.
    pub(super) fn scratch(&self, len: usize) -> Buffer<T> {
        Buffer { block: self.pool.take(len * size_of::<T>()), len, element: PhantomData }
    }
}

/// An error unless `got == want`; `op` and `what` name the culprit.
pub(super) fn expect_len(op: &str, what: &str, got: usize, want: usize) -> Result<()> {
    if got == want {
        return Ok(());
    }
    Err(Error::internal(format!("{what} has {got} elements, the problem needs {want}")).at(op.to_string()))
}

impl<T: Real> Memory for Cpu<T> {
    type Buffer = Buffer<T>;
    type Bytes = Bytes;
    type Labels = Vec<u32>;
    type Ref<'a> = &'a [T];
    type Mut<'a> = &'a mut [T];

    fn describe(&self) -> String {
        format!("CPU, {}, {} threads", T::NAME, rayon::current_num_threads())
    }

    fn empty(&self, len: usize) -> Result<Buffer<T>> {
        Ok(self.scratch(len))
    }

    fn empty_full(&self, len: usize) -> Result<Buffer<T>> {
        self.empty(len)
    }

    fn zeros(&self, len: usize) -> Result<Buffer<T>> {
        let mut buffer = self.scratch(len);
        buffer.as_mut_slice().fill(T::ZERO);
        Ok(buffer)
    }

    fn upload(&self, host: &[f32]) -> Result<Buffer<T>> {
        let mut buffer = self.scratch(host.len());
        self.write(host, buffer.as_mut_slice())?;
        Ok(buffer)
    }

    fn write(&self, host: &[f32], dst: &mut [T]) -> Result<()> {
        expect_len("write", "the destination", dst.len(), host.len())?;
        dst.iter_mut().zip(host).for_each(|(d, &h)| *d = T::of_f32(h));
        Ok(())
    }

    fn copy(&self, src: &[T], dst: &mut [T]) -> Result<()> {
        expect_len("copy", "the destination", dst.len(), src.len())?;
        dst.copy_from_slice(src);
        Ok(())
    }

    fn read(&self, src: &[T], host: &mut [f32]) -> Result<()> {
        expect_len("read", "the destination", host.len(), src.len())?;
        host.iter_mut().zip(src).for_each(|(h, &s)| *h = s.to_f32());
        Ok(())
    }

    fn empty_bytes(&self, len: usize) -> Result<Bytes> {
        Ok(Bytes { block: self.pool.take(len), len })
    }

    fn upload_labels(&self, host: &[u32]) -> Result<Vec<u32>> {
        Ok(host.to_vec())
    }

    fn len(buffer: &Buffer<T>) -> usize {
        buffer.len
    }

    fn view(buffer: &Buffer<T>, range: Range<usize>) -> &[T] {
        &buffer.as_slice()[range]
    }

    fn view_mut(buffer: &mut Buffer<T>, range: Range<usize>) -> &mut [T] {
        &mut buffer.as_mut_slice()[range]
    }

    fn split_mut<'a>(view: Self::Mut<'a>, at: usize) -> (Self::Mut<'a>, Self::Mut<'a>) {
        view.split_at_mut(at.min(view.len()))
    }

    fn upload_f64(&self, host: &[f64]) -> Result<Buffer<T>> {
        let mut buffer = self.scratch(host.len());
        buffer.as_mut_slice().iter_mut().zip(host).for_each(|(d, &h)| *d = T::of_f64(h));
        Ok(buffer)
    }

    fn read_f64(&self, src: &[T], host: &mut [f64]) -> Result<()> {
        expect_len("read", "the destination", host.len(), src.len())?;
        host.iter_mut().zip(src).for_each(|(h, &s)| *h = s.to_f64());
        Ok(())
    }
}
