//! Curves as an SVG file and as characters on a terminal.

use super::plot_text::{self, Axis};
use crate::error::{Error, Result};
use crate::text::number;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (960, 540);
/// Told apart in print and by the colour-blind (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(120, 94, 240),
];

pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Lines over one x axis.
pub struct Figure {
    pub title: String,
    pub x: &'static str,
    pub y: &'static str,
    /// Logarithmic x, all of it above 0.
    pub log_x: bool,
    pub lines: Vec<Line>,
    /// Drawn dashed against an axis of its own on the right.
    pub right: Option<Line>,
    /// Vertical lines, each with a word that may be empty.
    pub marks: Vec<(f64, String)>,
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high { (0.0, 1.0) } else { (low, high) }
}

/// Room above and below, and never an empty range.
fn padded((low, high): (f64, f64)) -> (f64, f64) {
    let pad = if high > low { 0.06 * (high - low) } else { high.abs().max(1e-12) * 0.1 };
    (low - pad, high + pad)
}

impl Figure {
    fn xs(&self) -> (f64, f64) {
        let (low, high) = range(self.lines.iter().flat_map(|l| l.points.iter().map(|p| p.0)));
        if high > low { (low, high) } else { (low, low + 1.0) }
    }

    fn ys(&self) -> (f64, f64) {
        let (low, high) = range(self.lines.iter().flat_map(|l| l.points.iter().map(|p| p.1)));
        let (below, above) = padded((low, high));
        (if low >= 0.0 { below.max(0.0) } else { below }, above)
    }

    /// Writes `path` as SVG.
    ///
    /// # Errors
    /// `Write`.
    pub fn write_svg(&self, path: &Path) -> Result<()> {
        let mut text = String::new();
        let (low, high) = self.xs();
        if self.log_x {
            self.draw(&mut text, (low..high).log_scale()).map_err(failed)?;
        } else {
            self.draw(&mut text, low..high).map_err(failed)?;
        }
        crate::files::write_output(path, crate::files::Kind::Report, |file| file.write_all(text.as_bytes()))
    }

    fn draw<X>(&self, text: &mut String, x: X) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        X: AsRangedCoord<Value = f64> + Clone,
        X::CoordDescType: ValueFormatter<f64>,
    {
        let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let (low, high) = self.ys();
        let (below, above) = padded(range(self.right.iter().flat_map(|l| l.points.iter().map(|p| p.1))));
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .right_y_label_area_size(if self.right.is_some() { 64 } else { 12 })
            .build_cartesian_2d(x.clone(), low..high)?
            .set_secondary_coord(x, below..above);
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .axis_desc_style(("sans-serif", 15))
            .label_style(("sans-serif", 13))
            .y_label_formatter(&|v| number(*v))
            .x_label_formatter(&|v| number(*v))
            .light_line_style(WHITE)
            .draw()?;
        let rows = self.label_rows();
        for ((at, word), row) in self.marks.iter().zip(rows) {
            let grey = RGBColor(150, 150, 150);
            let rule = DashedLineSeries::new([(*at, low), (*at, high)], 3, 4, grey.stroke_width(1));
            chart.draw_series(rule)?;
            let Some(row) = row else { continue };
            let font = ("sans-serif", 12).into_font().color(&grey);
            let label = EmptyElement::at((*at, high)) + Text::new(word.clone(), (4, 2 + 14 * row), font);
            chart.draw_series([label])?;
        }
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            let drawn = chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
            // plotters guesses the width of text, and guesses short
            drawn.label(format!("{}  ", line.name)).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        if let Some(line) = &self.right {
            let style = RGBColor(110, 110, 110).stroke_width(1);
            chart
                .configure_secondary_axes()
                .y_desc(line.name.as_str())
                .axis_desc_style(("sans-serif", 15))
                .label_style(("sans-serif", 13))
                .draw()?;
            let drawn = chart.draw_secondary_series(DashedLineSeries::new(line.points.iter().copied(), 5, 4, style))?;
            drawn.label(format!("{} (dashed)      ", line.name)).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        if self.lines.len() + usize::from(self.right.is_some()) > 1 {
            chart
                .configure_series_labels()
                .background_style(WHITE.mix(0.85))
                .border_style(RGBColor(200, 200, 200))
                .label_font(("sans-serif", 13))
                .draw()?;
        }
        area.present()?;
        Ok(())
    }

    /// In which of a few rows each mark's word finds room beside the others'; none where it finds none.
    fn label_rows(&self) -> Vec<Option<i32>> {
        let (low, high) = self.xs();
        let scale = |x: f64| if self.log_x { x.log10() } else { x };
        let pixel = |x: f64| (scale(x) - scale(low)) / (scale(high) - scale(low)) * f64::from(SIZE.0 - 150);
        let mut ends = [f64::NEG_INFINITY; 4];
        let row = |(at, word): &(f64, String)| {
            let end = pixel(*at) + 7.0 * word.chars().count() as f64;
            let row = ends.iter().position(|end| *end < pixel(*at)).filter(|_| end < pixel(high) + 12.0)?;
            ends[row] = end + 6.0;
            i32::try_from(row).ok()
        };
        self.marks.iter().map(row).collect()
    }

    /// The lines in characters, `columns` wide; each in a chart of its own, since characters have one colour.
    pub fn text(&self, columns: usize) -> String {
        let (low, high) = self.xs();
        let x = Axis { low, high, log: self.log_x };
        let (low, high) = self.ys();
        let y = Axis { low, high, log: false };
        let one = |line: &Line| {
            let name = if self.lines.len() > 1 { format!("{}\n", line.name) } else { String::new() };
            format!("{name}{}", plot_text::chart(&[&line.points], x, y, columns))
        };
        let charts: Vec<String> = self.lines.iter().map(one).collect();
        format!("{}\n{} over {}\n{}", self.title, self.y, self.x, charts.join("\n"))
    }
}

fn failed(e: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::internal(format!("the plot cannot be drawn: {e}"))
}
