//! Pillow's antialiased BILINEAR of 8-bit images: the triangle filter with weights of 22 bits behind the point.

/// The filter from `from` to `to` samples as a dense matrix: every weight from its distance, no windows.
fn triangle(from: usize, to: usize) -> Vec<Vec<i64>> {
    let scale = from as f64 / to as f64;
    let inverse = 1.0 / scale.max(1.0);
    let row = |output: usize| {
        let centre = (output as f64 + 0.5) * scale;
        let heights: Vec<f64> = (0..from).map(|t| (1.0 - ((t as f64 - centre + 0.5) * inverse).abs()).max(0.0)).collect();
        let total = heights.iter().fold(0.0, |sum, height| sum + height);
        heights.iter().map(|height| (height / total * f64::from(1 << 22) + 0.5).floor() as i64).collect()
    };
    (0..to).map(row).collect()
}

/// `lines` lines of `from` samples, sample s of line l at `at(l, s)`, to lines of `to` samples, one after the other.
fn pass(lines: usize, from: usize, to: usize, at: impl Fn(usize, usize) -> u8) -> Vec<u8> {
    let taps: Vec<Vec<(usize, i64)>> =
        triangle(from, to).into_iter().map(|row| row.into_iter().enumerate().filter(|tap| tap.1 != 0).collect()).collect();
    let value = |line: usize, output: &[(usize, i64)]| {
        let sum: i64 = output.iter().map(|&(sample, weight)| weight * i64::from(at(line, sample))).sum();
        ((sum + (1 << 21)) >> 22).clamp(0, 255) as u8
    };
    (0..lines).flat_map(|line| taps.iter().map(move |output| (line, output))).map(|(line, output)| value(line, output)).collect()
}

/// Rows of `width` pixels to rows of `to`.
fn across(image: &[u8], width: usize, height: usize, to: usize) -> Vec<u8> {
    let lines = pass(3 * height, width, to, |line, x| image[(line / 3 * width + x) * 3 + line % 3]);
    (0..3 * height * to).map(|i| lines[(i / 3 / to * 3 + i % 3) * to + i / 3 % to]).collect()
}

/// Columns of `height` pixels to columns of `to`.
fn down(image: &[u8], width: usize, height: usize, to: usize) -> Vec<u8> {
    let lines = pass(3 * width, height, to, |line, y| image[3 * width * y + line]);
    (0..3 * width * to).map(|i| lines[i % (3 * width) * to + i / (3 * width)]).collect()
}

/// HWC u8 of `width` x `height` to `to.0` x `to.1`. Columns come first where the height shrinks by more than twice what the width does.
pub fn resize(image: &[u8], width: usize, height: usize, to: (usize, usize)) -> Vec<u8> {
    let signed = |n: usize| n as i64;
    let columns_first = to.1 < height && signed(height) - signed(to.1) > 2 * (signed(width) - signed(to.0));
    if columns_first {
        across(&down(image, width, height, to.1), width, to.1, to.0)
    } else {
        down(&across(image, width, height, to.0), to.0, height, to.1)
    }
}
