//! Curves as characters, for the terminal: braille dots (two across and four down a character), axes with round numbers.

use crate::text::number;

/// Lines of characters that the dots take.
const ROWS: usize = 14;

/// Characters across the terminal: what the shell says, else the terminal itself, else 80.
pub fn columns() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    let measured = || rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    said.or_else(measured).filter(|&columns| columns > 0).unwrap_or(80).clamp(40, 160)
}

/// An axis: from where to where, in which scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    pub low: f64,
    pub high: f64,
    /// Both ends above 0.
    pub log: bool,
}

impl Axis {
    /// Where `v` lies between the ends: 0 to 1 within them.
    fn share(&self, v: f64) -> f64 {
        let scale = |v: f64| if self.log { v.log10() } else { v };
        (scale(v) - scale(self.low)) / (scale(self.high) - scale(self.low))
    }

    /// Round numbers on the axis, about `wanted` of them: powers of ten, or steps of 1, 2 or 5 times one.
    fn ticks(&self, wanted: usize) -> Vec<f64> {
        let within = |v: &f64| (-1e-9..=1.0 + 1e-9).contains(&self.share(*v));
        if self.log {
            let (from, to) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
            let every = (to - from).unsigned_abs().div_ceil(wanted.max(1) as u32).max(1);
            return (from..=to).step_by(every as usize).map(|e| 10f64.powi(e)).filter(within).collect();
        }
        let rough = (self.high - self.low) / wanted.max(1) as f64;
        let unit = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|k| k * unit).into_iter().find(|step| *step >= rough * (1.0 - 1e-9)).unwrap_or(unit * 10.0);
        let (from, to) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
        (from..=to).map(|k| k as f64 * step).filter(within).collect()
    }
}

/// The dots of a chart: rows of characters, a bit a dot.
struct Dots {
    across: usize,
    bits: Vec<u8>,
}

impl Dots {
    fn set(&mut self, x: usize, y: usize) {
        // Unicode numbers the dots of the left column 1, 2, 3, 7 and of the right 4, 5, 6, 8.
        const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        if let Some(cell) = self.bits.get_mut(y / 4 * self.across + x / 2).filter(|_| x / 2 < self.across) {
            *cell |= BITS[x % 2][y % 4];
        }
    }

    /// A straight line of dots.
    fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).ceil().max(1.0);
        for i in 0..=steps as usize {
            let t = i as f64 / steps;
            let at = |a: f64, b: f64| (a + (b - a) * t).round();
            let (x, y) = (at(from.0, to.0), at(from.1, to.1));
            if x >= 0.0 && y >= 0.0 {
                self.set(x as usize, y as usize);
            }
        }
    }
}

/// `lines` of points within the axes, `columns` characters wide with the labels, without a line break at the end.
pub fn chart(lines: &[&[(f64, f64)]], x: Axis, y: Axis, columns: usize) -> String {
    let labels: Vec<(usize, String)> = {
        let row = |v: f64| ((1.0 - y.share(v)) * (ROWS * 4 - 1) as f64).round() as usize / 4;
        let mut all: Vec<_> = y.ticks(4).into_iter().map(|v| (row(v), number(v))).collect();
        all.dedup_by_key(|(row, _)| *row);
        all
    };
    let margin = labels.iter().map(|(_, text)| text.len()).max().unwrap_or(0);
    let across = columns.saturating_sub(margin + 2).max(10);
    let mut dots = Dots { across, bits: vec![0; across * ROWS] };
    let (right, bottom) = ((across * 2 - 1) as f64, (ROWS * 4 - 1) as f64);
    for points in lines {
        let place = |&(a, b): &(f64, f64)| (x.share(a) * right, (1.0 - y.share(b)) * bottom);
        let finite: Vec<_> = points.iter().map(place).filter(|(a, b)| a.is_finite() && b.is_finite()).collect();
        if let &[only] = finite.as_slice() {
            dots.line(only, only);
        }
        finite.windows(2).for_each(|pair| dots.line(pair[0], pair[1]));
    }
    let mut out = String::new();
    for (row, cells) in dots.bits.chunks_exact(across).enumerate() {
        let label = labels.iter().find(|(at, _)| *at == row).map_or("", |(_, text)| text);
        let drawn: String = cells.iter().map(|&bits| char::from_u32(0x2800 + u32::from(bits)).unwrap_or(' ')).collect();
        // A braille blank is as wide as a dot pattern, and no space for those who trim.
        let drawn = drawn.trim_end_matches('\u{2800}');
        out += &format!("{label:>margin$} {}{drawn}\n", if label.is_empty() { '│' } else { '┤' });
    }
    let (mut axis, mut numbers) = (vec!['─'; across], vec![' '; across]);
    let mut free = 0;
    // The end of the axis too, such as the last epoch, where there is room.
    let end = Some(x.high).filter(|_| !x.log);
    for tick in x.ticks(across / 14).into_iter().chain(end) {
        let (at, text) = ((x.share(tick) * right / 2.0) as usize, number(tick));
        let begin = at.saturating_sub(text.len() / 2).min(across.saturating_sub(text.len()));
        if begin < free || at >= across {
            continue;
        }
        axis[at] = '┬';
        text.chars().enumerate().for_each(|(i, c)| numbers[begin + i] = c);
        free = begin + text.len() + 1;
    }
    let numbers: String = numbers.into_iter().collect();
    out + &format!("{:margin$} └{}\n{:margin$}  {}", "", axis.into_iter().collect::<String>(), "", numbers.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINEAR: Axis = Axis { low: 0.0, high: 90.0, log: false };

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(LINEAR.ticks(5), [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_eq!(Axis { low: 0.0, high: 0.424, log: false }.ticks(4).into_iter().map(number).collect::<Vec<_>>(), ["0", "0.2", "0.4"]);
        let log = Axis { low: 2e-5, high: 10.0, log: true };
        assert_eq!(log.ticks(8).into_iter().map(number).collect::<Vec<_>>(), ["1e-4", "0.001", "0.01", "0.1", "1", "10"]);
    }

    #[test]
    fn a_chart_fits_its_width_and_a_rising_line_rises() {
        let points: Vec<(f64, f64)> = (0..=90).map(|i| (f64::from(i), f64::from(i) / 200.0)).collect();
        let y = Axis { low: 0.0, high: 0.45, log: false };
        for columns in [40, 80, 120] {
            let text = chart(&[&points], LINEAR, y, columns);
            assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns}:\n{text}");
            let rows: Vec<&str> = text.lines().collect();
            assert_eq!(rows.len(), ROWS + 2);
            let first = |row: &str| row.chars().position(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
            assert!(first(rows[0]) > first(rows[ROWS / 2]) && first(rows[ROWS / 2]) > first(rows[ROWS - 1]), "{text}");
            assert!((columns < 80 || rows[ROWS + 1].contains(" 60")) && text.contains("0.4 ┤"), "{text}");
        }
    }
}
