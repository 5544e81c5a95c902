//! A mapped shard that is cut while it is read: told by name and byte, with exit code 65, instead of a signal.
//!
//! Reading a page of a map that lies behind the end of its file, or that the disk cannot give, makes the kernel send SIGBUS. [`install`]
//! sets a handler that looks the address up among the maps that are [`Watched`], writes one message and ends the process. A SIGBUS from
//! anywhere else, or sent by another process, does what it would without a handler. The handler takes no lock, allocates nothing and calls
//! only write, signal, raise and _exit, all of which may be called there (signal-safety(7)). A map costs its path and 48 bytes, which stay
//! until the process ends, so that the handler never meets an entry that was freed.

use libc::{c_int, c_void, siginfo_t};
use std::path::Path;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// The newest entry; each leads to the one before.
static NEWEST: AtomicPtr<Entry> = AtomicPtr::new(std::ptr::null_mut());

const CAUSE: &str = "\n  cause: another program shortened the file, or the disk could not read it\n  \
                     next:  imagenet-engine verify --full DIR; a training run goes on with --resume auto\n";

struct Entry {
    start: usize,
    /// The first address behind the map; 0 once it is gone.
    end: AtomicUsize,
    /// The byte of the file at `start`.
    offset: u64,
    /// The message up to the number of the byte.
    message: String,
    before: AtomicPtr<Entry>,
}

/// The addresses of a map, known to the handler until dropped.
#[derive(Debug)]
pub struct Watched(&'static AtomicUsize);

impl Watched {
    /// Watches `bytes`, which are mapped from byte `offset` of `path` on. To be dropped before they are unmapped.
    pub fn new(bytes: &[u8], path: &Path, offset: u64) -> Self {
        // As elsewhere, a terminal is given no orders.
        let obeyed = |c: char| {
            c.is_control() || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        let shown = |text: String| text.chars().map(|c| if obeyed(c) { '?' } else { c }).collect::<String>();
        let name = shown(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let message = format!("\nerror: shard cut while in use: {name}\n  where: {}, byte ", shown(path.display().to_string()));
        let start = bytes.as_ptr() as usize;
        let end = AtomicUsize::new(start + bytes.len());
        let entry: &'static mut Entry = Box::leak(Box::new(Entry { start, end, offset, message, before: AtomicPtr::default() }));
        let (entry, mut newest) = (&*entry, NEWEST.load(Ordering::Acquire));
        loop {
            entry.before.store(newest, Ordering::Relaxed);
            let this = std::ptr::from_ref(entry).cast_mut();
            match NEWEST.compare_exchange_weak(newest, this, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Self(&entry.end),
                Err(other) => newest = other,
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

/// The watched map that holds `address`.
#[allow(unsafe_code)]
fn find(address: usize) -> Option<&'static Entry> {
    let mut at = NEWEST.load(Ordering::Acquire);
    // SAFETY: null, or an entry that was leaked before it was stored, and is only read from then on.
    while let Some(entry) = unsafe { at.as_ref() } {
        if (entry.start..entry.end.load(Ordering::Acquire)).contains(&address) {
            return Some(entry);
        }
        at = entry.before.load(Ordering::Acquire);
    }
    None
}

/// From now on a SIGBUS within a watched map ends the process with a message and exit code 65.
#[allow(unsafe_code)]
pub fn install() {
    // SAFETY: all zeros are a valid sigaction: no flags, an empty mask. The handler has the form that SA_SIGINFO asks for.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}

#[allow(unsafe_code)]
extern "C" fn handle(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel hands a siginfo to a handler with SA_SIGINFO; what lies in place of the address is looked at only where the code
    // says that there is one.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if code == libc::BUS_ADRERR
        && let Some(entry) = find(address)
    {
        let mut digits = [0; 20];
        write(entry.message.as_bytes());
        write(decimal(entry.offset + (address - entry.start) as u64, &mut digits));
        write(CAUSE.as_bytes());
        // SAFETY: ends the process without running anything of it.
        unsafe { libc::_exit(65) };
    }
    // SAFETY: both calls are allowed in a handler. What was a fault happens again on return; what was sent is sent again.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        if code <= 0 {
            libc::raise(signal);
        }
    }
}

#[allow(unsafe_code)]
fn write(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: as many bytes as there are.
        let written = unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) };
        let Some(rest) = usize::try_from(written).ok().filter(|&n| n > 0).and_then(|n| bytes.get(n..)) else { return };
        bytes = rest;
    }
}

/// `number` as text, at the end of `digits`.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    for (i, digit) in digits.iter_mut().enumerate().rev() {
        (*digit, number, at) = (b'0' + (number % 10) as u8, number / 10, i);
        if number == 0 {
            break;
        }
    }
    digits.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_format_does() {
        for number in [0, 7, 10, 4096, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }

    #[test]
    fn an_address_is_found_while_it_is_watched() {
        let (a, b) = (vec![0u8; 100], vec![0u8; 50]);
        let at = |bytes: &[u8], i: usize| bytes.as_ptr() as usize + i;
        let watched = Watched::new(&a, Path::new("x/a\u{1b}b"), 4096);
        let other = Watched::new(&b, Path::new("b"), 0);
        let entry = find(at(&a, 99)).unwrap();
        assert!(entry.offset == 4096 && entry.message.ends_with("where: x/a?b, byte "), "{:?}", entry.message);
        assert!(find(at(&a, 100)).is_none_or(|e| e.start != at(&a, 0)) && find(at(&b, 0)).is_some());
        drop(watched);
        assert!(find(at(&a, 0)).is_none() && find(at(&b, 49)).is_some());
        drop(other);
        assert!(find(at(&b, 49)).is_none());
    }
}
