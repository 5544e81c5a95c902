//! Ctrl-C and SIGTERM: the first asks for a clean stop, a second exits at once.

use crate::error::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A flag that the first signal sets. Exit code 75 for the second: what was saved before can be resumed.
///
/// # Errors
/// `Internal` if the handlers cannot be installed.
pub fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the shutdown looks at the flag before the same signal sets it.
        flag::register_conditional_shutdown(signal, 75, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(|e| Error::internal("signal handlers cannot be installed").source(e))?;
    }
    Ok(stop)
}
