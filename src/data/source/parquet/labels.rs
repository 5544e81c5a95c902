//! Labels of rows: numbers or names of classes.
//!
//! Whole numbers keep their order; so do strings and floats that are whole numbers (`"3"`, `3.0`). A negative number, a missing value and
//! an empty string mean "no label". Other strings are names of classes; numbers and names in one column are an error that asks.

use super::values::Value;
use crate::data::source::resolve;
use parquet::data_type::AsBytes;

/// What a row says of its class.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    None,
    Number(u32),
    Name(String),
}

/// The labels of a column.
///
/// # Errors
/// The row and what is wrong with its value.
pub fn labels(values: Vec<Option<Value>>) -> Result<Vec<Label>, String> {
    values.into_iter().enumerate().map(|(row, v)| v.map_or(Ok(Label::None), |v| label(&v).map_err(|e| format!("row {row}: {e}")))).collect()
}

fn label(value: &Value) -> Result<Label, String> {
    match value {
        Value::Int(n) => number(*n).ok_or_else(|| format!("label {n} is too large for a class")),
        Value::Float(x) => whole(*x).ok_or_else(|| format!("label {x} is no whole number")),
        Value::Bool(_) => Err("true and false are no labels".to_owned()),
        Value::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes.as_bytes()).map_err(|_| "a label that is no text in UTF-8".to_owned())?;
            Ok(match text.trim() {
                "" => Label::None,
                text if text.starts_with('-') && text.parse::<f64>().is_ok() => Label::None,
                text => Label::Name(text.to_owned()),
            })
        }
    }
}

fn number(n: i64) -> Option<Label> {
    if n < 0 { Some(Label::None) } else { u32::try_from(n).ok().map(Label::Number) }
}

fn whole(x: f64) -> Option<Label> {
    match x {
        _ if x.is_nan() || x < 0.0 => Some(Label::None),
        _ if x.fract() == 0.0 && x <= f64::from(u32::MAX) => number(x as i64),
        _ => None,
    }
}

/// Names that are all whole numbers become these numbers; what programs write for a missing value is no label among them.
///
/// # Errors
/// Where some are numbers and others are not: one of each.
pub fn names_to_numbers(labels: &mut [&mut Label]) -> Result<(), (String, String)> {
    let is_number = |text: &str| text_number(text).is_some();
    let names = || labels.iter().filter_map(|l| if let Label::Name(text) = &**l { Some(text.as_str()) } else { None });
    let Some(number) = names().find(|t| is_number(t)).map(str::to_owned) else { return Ok(()) };
    if let Some(odd) = names().find(|t| !is_number(t) && !resolve::Label::missing(t)) {
        return Err((number, odd.to_owned()));
    }
    for label in labels.iter_mut() {
        if let Label::Name(text) = &**label {
            **label = text_number(text).unwrap_or(Label::None);
        }
    }
    Ok(())
}

/// `3` or `3.0`.
fn text_number(text: &str) -> Option<Label> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.starts_with(|c: char| c.is_ascii_digit());
    if plain { text.parse::<u32>().map(Label::Number).ok().or_else(|| whole(text.parse().ok()?)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(values: Vec<Value>) -> Result<Vec<Label>, String> {
        let mut labels = labels(values.into_iter().map(Some).collect())?;
        names_to_numbers(&mut labels.iter_mut().collect::<Vec<_>>()).map_err(|(a, b)| format!("{a} and {b}"))?;
        Ok(labels)
    }

    #[test]
    fn numbers_keep_their_order_and_names_stay_names() {
        let any = |t: &[&str]| all(t.iter().map(|t| Value::Bytes((*t).into())).collect());
        let text = |t: &[&str]| any(t).unwrap();
        let (n, name) = (Label::Number, |t: &str| Label::Name(t.to_owned()));
        assert_eq!(text(&["2", "10", "-1", "", "1.0", "007"]), [n(2), n(10), Label::None, Label::None, n(1), n(7)]);
        assert_eq!(text(&["2", "nan", "NULL"]), [n(2), Label::None, Label::None]);
        assert_eq!(text(&["dog", "cat", "-1", "none"]), [name("dog"), name("cat"), Label::None, name("none")]);
        assert_eq!([any(&["2", "cat", "-1"]), any(&["1.5", "7"])], [Err("2 and cat".to_owned()), Err("7 and 1.5".to_owned())]);
        assert_eq!(all(vec![Value::Float(3.0), Value::Float(-1.0), Value::Float(f64::NAN)]), Ok(vec![n(3), Label::None, Label::None]));
        assert_eq!(all(vec![Value::Int(-1), Value::Int(7)]), Ok(vec![Label::None, n(7)]));
        for wrong in [Value::Bool(true), Value::Float(0.5), Value::Int(1 << 40), Value::Bytes(b"\xff"[..].into())] {
            assert!(all(vec![wrong]).unwrap_err().starts_with("row 0: "));
        }
    }
}
