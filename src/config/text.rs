// SPDX-License-Identifier: Apache-2.0
//! The value of a flag as `config.toml` has it: text, a number, or a list for a
//! flag that may be given several times.

use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Value")]
pub struct Text(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "not text, a number, or a list of texts")]
enum Value {
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<String>),
}

impl From<Value> for Text {
    fn from(value: Value) -> Self {
        Self(match value {
            Value::Integer(number) => vec![number.to_string()],
            Value::Float(number) => vec![number.to_string()],
            Value::Text(text) => vec![text],
            Value::List(list) => list,
        })
    }
}
