//! The lines of a run that stay on the terminal or in the log: a row an epoch, between them a row now and then, under one header.

use crate::text::{clock, count, number, rate};
use crate::train::notice::EpochEnd;

/// The columns behind the first, with their widths: 80 characters with it.
const COLUMNS: [(&str, usize); 8] =
    [("loss", 7), ("top-1 %", 7), ("top-5 %", 7), ("best %", 7), ("lr", 8), ("images/s", 8), ("time", 7), ("ETA", 7)];
/// Characters of the first.
const FIRST: usize = 13;

pub fn header() -> String {
    row("", COLUMNS.map(|(name, _)| name.to_owned()))
}

fn row(first: &str, cells: [String; 8]) -> String {
    let cells: String = cells.iter().zip(COLUMNS).map(|(cell, (_, width))| format!(" {cell:>width$}")).collect();
    format!("{first:<FIRST$}{cells}").trim_end().to_owned()
}

fn percent(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

/// A row for step `update`, counted from 0 as in metrics.jsonl.
pub fn step(update: u64, loss: f64, lr: f64, images_per_s: f64) -> String {
    let blank = String::new;
    let cells = [format!("{loss:.4}"), blank(), blank(), blank(), number(lr), rate(images_per_s), blank(), blank()];
    row(&format!("step {}", count(update)), cells)
}

/// An epoch's row, and below it one of the moving average where there is one.
pub fn epoch(end: &EpochEnd) -> String {
    let EpochEnd { loss, lr, images_per_s, time, eval, best_top1, left, .. } = end;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let cells = [
        or_dash(loss.map(|loss| format!("{loss:.4}"))),
        or_dash(eval.map(|(score, _)| percent(score.top1))),
        or_dash(eval.map(|(score, _)| percent(score.top5))),
        or_dash(best_top1.map(percent)),
        number(*lr),
        or_dash(images_per_s.map(rate)),
        clock(time.as_secs_f64()),
        or_dash(left.map(|left| clock(left.as_secs_f64()))),
    ];
    let own = row(&format!("epoch {}/{}", end.epoch, end.epochs), cells);
    let Some((_, Some(ema))) = eval else { return own };
    let blank = String::new;
    let average = [blank(), percent(ema.top1), percent(ema.top5), blank(), blank(), blank(), blank(), blank()];
    format!("{own}\n{}", row("  average", average))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::eval::Score;
    use crate::train::metrics::EmaScore;
    use std::time::Duration;

    fn end() -> EpochEnd {
        let score = Score { loss: 0.5, top1: 0.9225, top5: 0.995, images: 800 };
        EpochEnd {
            epoch: 3,
            epochs: 90,
            loss: Some(1.23456),
            lr: 4.615384615384616e-4,
            images_per_s: Some(1038.94),
            time: Duration::from_secs(63),
            eval: Some((score, None)),
            best_top1: Some(0.93),
            left: Some(Duration::from_secs(5401)),
        }
    }

    #[test]
    fn rows_stand_under_their_headers() {
        let lines = [header(), step(450_360, 1.2, 0.1, 38.0), epoch(&end())];
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        assert_eq!(
            lines,
            [
                "                 loss top-1 % top-5 %  best %       lr images/s    time     ETA",
                "step 450,360   1.2000                              0.1     38.0",
                "epoch 3/90     1.2346   92.25   99.50   93.00 4.615e-4  1,038.9    1:03 1:30:01",
            ]
        );
    }

    #[test]
    fn what_there_is_not_is_a_dash_and_an_average_has_its_own_row() {
        let bare = EpochEnd { loss: None, images_per_s: None, eval: None, best_top1: None, left: None, ..end() };
        assert_eq!(epoch(&bare).matches(" -").count(), 6);
        let score = Score { loss: 0.5, top1: 0.5, top5: 0.9, images: 8 };
        let ema = EmaScore { loss: 0.4, top1: 0.75, top5: 1.0 };
        let both = epoch(&EpochEnd { eval: Some((score, Some(ema))), ..end() });
        assert!(both.lines().count() == 2 && both.contains("\n  average               75.00  100.00"), "{both}");
    }
}
