//! Date and time in UTC: for the names of run folders, for records, and for the lines of a run's log.

use std::time::{SystemTime, UNIX_EPOCH};

/// `YYYYMMDD`.
pub fn today() -> String {
    let (y, m, d) = now();
    format!("{y:04}{m:02}{d:02}")
}

/// `YYYY-MM-DD`.
pub fn iso() -> String {
    let (y, m, d) = now();
    format!("{y:04}-{m:02}-{d:02}")
}

/// The time as RFC 3339 writes it, to the millisecond: `2026-11-29T18:37:13.042Z`.
pub fn rfc3339() -> String {
    stamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64))
}

/// [`rfc3339`] of the time `ms` milliseconds after 1970 began.
fn stamp(ms: u64) -> String {
    let (y, m, d) = civil((ms / 86_400_000) as i64);
    let [hours, minutes, seconds] = [3_600_000, 60_000, 1000].map(|unit| ms % 86_400_000 / unit);
    format!("{y:04}-{m:02}-{d:02}T{hours:02}:{:02}:{:02}.{:03}Z", minutes % 60, seconds % 60, ms % 1000)
}

fn now() -> (i64, i64, i64) {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    civil((seconds / 86_400) as i64)
}

/// Days since 1970-01-01 to year, month, day (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{civil, stamp};

    /// As `date -u -d @1792151999.5` says.
    #[test]
    fn known_times() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp(1_792_151_999_500), "2026-10-16T11:59:59.500Z");
        assert_eq!(stamp(951_827_696_007), "2000-02-29T12:34:56.007Z");
    }

    #[test]
    fn known_days() {
        for (days, date) in
            [(0, (1970, 1, 1)), (11_016, (2000, 2, 29)), (11_017, (2000, 3, 1)), (20_780, (2026, 11, 23)), (-1, (1969, 12, 31))]
        {
            assert_eq!(civil(days), date, "{days}");
        }
    }
}
