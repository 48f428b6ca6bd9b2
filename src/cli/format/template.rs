// SPDX-License-Identifier: Apache-2.0
//! The part of Go's templates that people use with Docker's `--format`: fields,
//! `json`, `upper`, `lower` and `join`, alone or behind a `|`.

use serde_json::Value;

use crate::error::{Failure, Result};

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Value { path: Vec<String>, functions: Vec<Function> },
}

#[derive(Clone, Debug, PartialEq)]
enum Function {
    Json,
    Upper,
    Lower,
    Join(String),
}

impl Template {
    /// Reads `text`, in which `\t` and `\n` stand for a tab and a line's end.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (inner, after) =
                after.split_once("}}").ok_or_else(|| wrong("{{ without its }}"))?;
            parts.push(action(inner)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Fills the template in.
    ///
    /// # Errors
    /// A field that `data` does not have.
    pub fn render(&self, data: &Value) -> Result<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text += part,
                Part::Value { path, functions } => {
                    let mut value = find(data, path)?.clone();
                    for function in functions {
                        value = function.apply(&value)?;
                    }
                    text += &shown(&value);
                }
            }
        }
        Ok(text)
    }
}

/// What stands between the braces.
fn action(text: &str) -> Result<Part> {
    let mut stages = split(text, '|').into_iter();
    let first = words(&stages.next().unwrap_or_default());
    let mut functions = Vec::new();
    let path = match first.as_slice() {
        [path] => path,
        [name, path] => {
            functions.push(function(name, None)?);
            path
        }
        [name, path, argument] => {
            functions.push(function(name, Some(argument))?);
            path
        }
        _ => return Err(unknown(text)),
    };
    let path = path.strip_prefix('.').ok_or_else(|| unknown(text))?;
    let path: Vec<String> = match path {
        "" => Vec::new(),
        path => path.split('.').map(str::to_owned).collect(),
    };
    let word = |c: char| c.is_alphanumeric() || c == '_';
    if path.iter().any(|name| name.is_empty() || !name.chars().all(word)) {
        return Err(unknown(text));
    }
    for stage in stages {
        functions.push(match words(&stage).as_slice() {
            [name] => function(name, None)?,
            [name, argument] => function(name, Some(argument))?,
            _ => return Err(unknown(text)),
        });
    }
    Ok(Part::Value { path, functions })
}

fn function(name: &str, argument: Option<&str>) -> Result<Function> {
    match (name, argument) {
        ("json", None) => Ok(Function::Json),
        ("upper", None) => Ok(Function::Upper),
        ("lower", None) => Ok(Function::Lower),
        ("join", Some(quoted)) => {
            let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            Ok(Function::Join(inner.ok_or_else(|| unknown(quoted))?.to_owned()))
        }
        _ => Err(unknown(name)),
    }
}

impl Function {
    fn apply(&self, value: &Value) -> Result<Value> {
        Ok(Value::String(match self {
            Self::Json => {
                serde_json::to_string(value).map_err(|e| Failure::cannot("write JSON", e))?
            }
            Self::Upper => shown(value).to_uppercase(),
            Self::Lower => shown(value).to_lowercase(),
            Self::Join(between) => match value {
                Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join(between),
                Value::Null => String::new(),
                _ => return Err(wrong("join takes a list")),
            },
        }))
    }
}

fn find<'a>(data: &'a Value, path: &[String]) -> Result<&'a Value> {
    let mut value = data;
    for name in path {
        value = value.get(name).ok_or_else(|| {
            let there = value.as_object().into_iter().flatten();
            let names: Vec<String> = there.map(|(name, _)| format!(".{name}")).collect();
            let failure = wrong(&format!("there is no field .{name}"));
            match names.is_empty() {
                true => failure,
                false => failure.hint(format!("there are {}", names.join(" "))),
            }
        })?;
    }
    Ok(value)
}

/// As Go prints it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".into(),
        Value::Array(list) => {
            format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
        Value::Object(map) => {
            let mut pairs: Vec<String> =
                map.iter().map(|(name, value)| format!("{name}:{}", shown(value))).collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

/// Splits outside of quotes.
fn split(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        quoted ^= c == '"';
        match parts.last_mut() {
            Some(last) if c != at || quoted => last.push(c),
            _ => parts.push(String::new()),
        }
    }
    parts
}

fn words(text: &str) -> Vec<String> {
    split(text, ' ').into_iter().filter(|word| !word.is_empty()).collect()
}

fn wrong(why: &str) -> Failure {
    Failure::new(format!("cannot use the template: {why}"))
}

fn unknown(what: &str) -> Failure {
    wrong(&format!("{:?} is not understood", what.trim()))
        .hint("it knows {{.Field}}, {{json .}}, {{upper .X}}, {{lower .X}} and {{join .X \",\"}}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(template: &str) -> String {
        let data = json!({"ID": "ab", "Config": {"Env": ["A=1", "B=2"], "User": null}, "N": 7});
        Template::parse(template).and_then(|t| t.render(&data)).unwrap()
    }

    #[test]
    fn fields_and_functions_as_go_prints_them() {
        for (template, text) in [
            ("", ""),
            ("plain", "plain"),
            ("{{.ID}}:{{ .N }}", "ab:7"),
            (r"{{.ID}}\t{{.N}}\n", "ab\t7\n"),
            ("{{json .Config.Env}}", r#"["A=1","B=2"]"#),
            ("{{.Config.Env | json}}", r#"["A=1","B=2"]"#),
            ("{{.Config.Env}}", "[A=1 B=2]"),
            ("{{.Config}}", "map[Env:[A=1 B=2] User:<nil>]"),
            ("{{join .Config.Env \" | \"}}", "A=1 | B=2"),
            ("{{upper .ID}}{{.ID | upper | lower}}", "ABab"),
        ] {
            assert_eq!(render(template), text, "{template}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for bad in ["{{", "{{}}", "{{ID}}", "{{.A..B}}", "{{range .X}}", "{{if .X}}", "{{join .X}}"]
        {
            let failure = Template::parse(bad).unwrap_err();
            assert!(failure.message.starts_with("cannot use the template"), "{bad}: {failure}");
        }
        // Nothing that can be written is a panic.
        let odd = "a{{ .X | join \"|\" }}{{é}}}}{{json|.}}{{\\t}}\u{0}{{{.A.}}";
        let ends = || odd.char_indices().map(|(at, _)| at);
        for text in ends().flat_map(|from| ends().filter_map(move |to| odd.get(from..to))) {
            let _ = Template::parse(text).and_then(|template| template.render(&json!({"X": [1]})));
        }
        let template = Template::parse("{{.Nope}}").unwrap();
        let failure = template.render(&json!({"ID": 1})).unwrap_err();
        assert!(failure.message.contains(".Nope"));
        assert_eq!(failure.hint.unwrap(), "there are .ID");
        assert!(Template::parse("{{.ID.X}}").unwrap().render(&json!({"ID": 1})).is_err());
    }
}
