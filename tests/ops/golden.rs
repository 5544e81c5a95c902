//! Reads `golden/golden.json`, made by `golden/make_golden.py` with PyTorch 2.11.0.

use serde_json::Value;

pub fn golden(subject: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("golden/golden.json")).unwrap();
    assert_eq!(all["torch"], "2.11.0");
    all[subject].clone()
}

/// A list of numbers; "nan" is written as text.
pub fn numbers(list: &Value) -> Vec<f64> {
    let one = |v: &Value| v.as_f64().unwrap_or_else(|| v.as_str().unwrap().parse().unwrap());
    list.as_array().unwrap().iter().map(one).collect()
}
