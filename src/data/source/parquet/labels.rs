//! Labels of rows: numbers or names of classes.
//!
//! Whole numbers keep their order; so do strings and floats that are whole numbers (`"3"`, `3.0`). A negative number, a missing value and
//! an empty string mean "no label". Other strings are names of classes.

use super::values::Value;
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

/// Names that are all whole numbers become these numbers.
pub fn names_to_numbers(labels: &mut [&mut Label]) {
    let as_number = |label: &Label| match label {
        Label::Name(text) => text_number(text),
        other => Some(other.clone()),
    };
    let Some(numbers) = labels.iter().map(|l| as_number(l)).collect::<Option<Vec<Label>>>() else { return };
    labels.iter_mut().zip(numbers).for_each(|(label, number)| **label = number);
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
        names_to_numbers(&mut labels.iter_mut().collect::<Vec<_>>());
        Ok(labels)
    }

    #[test]
    fn numbers_keep_their_order_and_names_stay_names() {
        let text = |t: &[&str]| all(t.iter().map(|t| Value::Bytes((*t).into())).collect()).unwrap();
        let (n, name) = (Label::Number, |t: &str| Label::Name(t.to_owned()));
        assert_eq!(text(&["2", "10", "-1", "", "1.0", "007"]), [n(2), n(10), Label::None, Label::None, n(1), n(7)]);
        assert_eq!(text(&["2", "cat", "-1", "1.5"]), [name("2"), name("cat"), Label::None, name("1.5")]);
        assert_eq!(all(vec![Value::Float(3.0), Value::Float(-1.0), Value::Float(f64::NAN)]), Ok(vec![n(3), Label::None, Label::None]));
        assert_eq!(all(vec![Value::Int(-1), Value::Int(7)]), Ok(vec![Label::None, n(7)]));
        for wrong in [Value::Bool(true), Value::Float(0.5), Value::Int(1 << 40), Value::Bytes(b"\xff"[..].into())] {
            assert!(all(vec![wrong]).unwrap_err().starts_with("row 0: "));
        }
    }
}
