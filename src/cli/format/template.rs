// SPDX-License-Identifier: Apache-2.0
//! The part of Go's templates that people use with Docker's `--format`: fields,
//! `range` over lists, and the functions `json`, `upper`, `lower`, `join`,
//! `index`, `len` and `println`, alone or behind a `|`.

use serde_json::Value;

use crate::error::{Failure, Result};

/// Ranges within ranges.
const MAX_DEPTH: usize = 8;

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Value(Expression),
    /// What is between `range` and `end`, for each element.
    Range(Expression, Vec<Part>),
}

#[derive(Clone, Debug, PartialEq)]
struct Expression {
    path: Vec<String>,
    functions: Vec<Function>,
}

#[derive(Clone, Debug, PartialEq)]
enum Function {
    Json,
    Upper,
    Lower,
    Len,
    Println,
    Join(String),
    Index(Vec<Key>),
}

#[derive(Clone, Debug, PartialEq)]
enum Key {
    At(usize),
    Of(String),
}

impl Template {
    /// Reads `text`, in which `\t` and `\n` stand for a tab and a line's end.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        let mut parts = Vec::new();
        // Ranges that are not at their end, with what stood before each.
        let mut open: Vec<(Expression, Vec<Part>)> = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (inner, after) =
                after.split_once("}}").ok_or_else(|| wrong("{{ without its }}"))?;
            rest = after;
            let inner = inner.trim();
            if let Some(list) = inner.strip_prefix("range ") {
                if open.len() == MAX_DEPTH {
                    return Err(wrong("too many ranges within each other"));
                }
                open.push((expression(list)?, std::mem::take(&mut parts)));
            } else if inner == "end" {
                let (list, outer) = open.pop().ok_or_else(|| wrong("{{end}} without a range"))?;
                let body = std::mem::replace(&mut parts, outer);
                parts.push(Part::Range(list, body));
            } else {
                parts.push(Part::Value(expression(inner)?));
            }
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        match open.is_empty() {
            true => Ok(Self(parts)),
            false => Err(wrong("{{range}} without its {{end}}")),
        }
    }

    /// Fills the template in.
    ///
    /// # Errors
    /// A field that `data` does not have.
    pub fn render(&self, data: &Value) -> Result<String> {
        let mut text = String::new();
        fill(&self.0, data, &mut text)?;
        Ok(text)
    }
}

fn fill(parts: &[Part], data: &Value, text: &mut String) -> Result<()> {
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Value(expression) => text.push_str(&shown(&expression.value(data)?)),
            Part::Range(list, body) => match list.value(data)? {
                Value::Array(list) => list.iter().try_for_each(|one| fill(body, one, text))?,
                Value::Object(map) => {
                    let mut pairs: Vec<_> = map.iter().collect();
                    pairs.sort_by_key(|(name, _)| *name);
                    pairs.into_iter().try_for_each(|(_, one)| fill(body, one, text))?;
                }
                Value::Null => {}
                _ => return Err(wrong("range takes a list")),
            },
        }
    }
    Ok(())
}

impl Expression {
    fn value(&self, data: &Value) -> Result<Value> {
        let mut value = find(data, &self.path)?.clone();
        for function in &self.functions {
            value = function.apply(&value)?;
        }
        Ok(value)
    }
}

/// What stands between the braces.
fn expression(text: &str) -> Result<Expression> {
    let mut stages = split(text, '|').into_iter();
    let first = words(&stages.next().unwrap_or_default());
    let mut functions = Vec::new();
    let path = match first.as_slice() {
        [path] => path,
        [name, path, arguments @ ..] => {
            functions.push(function(name, arguments)?);
            path
        }
        [] => return Err(unknown(text)),
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
        let stage = words(&stage);
        let (name, arguments) = stage.split_first().ok_or_else(|| unknown(text))?;
        functions.push(function(name, arguments)?);
    }
    Ok(Expression { path, functions })
}

fn function(name: &str, arguments: &[String]) -> Result<Function> {
    match (name, arguments) {
        ("json", []) => Ok(Function::Json),
        ("upper", []) => Ok(Function::Upper),
        ("lower", []) => Ok(Function::Lower),
        ("len", []) => Ok(Function::Len),
        ("println", []) => Ok(Function::Println),
        ("join", [between]) => Ok(Function::Join(unquoted(between)?)),
        ("index", [_, ..]) => {
            let keys = arguments.iter().map(|key| match key.parse() {
                Ok(at) => Ok(Key::At(at)),
                Err(_) => unquoted(key).map(Key::Of),
            });
            Ok(Function::Index(keys.collect::<Result<_>>()?))
        }
        _ => Err(unknown(name)),
    }
}

fn unquoted(text: &str) -> Result<String> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.map(str::to_owned).ok_or_else(|| unknown(text))
}

impl Function {
    fn apply(&self, value: &Value) -> Result<Value> {
        Ok(Value::String(match self {
            Self::Json => {
                serde_json::to_string(value).map_err(|e| Failure::cannot("write JSON", e))?
            }
            Self::Upper => shown(value).to_uppercase(),
            Self::Lower => shown(value).to_lowercase(),
            Self::Println => shown(value) + "\n",
            Self::Len => return length(value),
            Self::Index(keys) => return keys.iter().try_fold(value.clone(), index),
            Self::Join(between) => match value {
                Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join(between),
                Value::Null => String::new(),
                _ => return Err(wrong("join takes a list")),
            },
        }))
    }
}

fn length(value: &Value) -> Result<Value> {
    Ok(Value::from(match value {
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        Value::String(text) => text.len(),
        Value::Null => 0,
        _ => return Err(wrong("len takes a list")),
    }))
}

fn index(value: Value, key: &Key) -> Result<Value> {
    match (&value, key) {
        (Value::Array(list), Key::At(at)) => list
            .get(*at)
            .cloned()
            .ok_or_else(|| wrong(&format!("there is no element {at} of {}", list.len()))),
        (Value::Object(map), Key::Of(name)) => Ok(map.get(name).cloned().unwrap_or(Value::Null)),
        _ => Err(wrong("index takes a list and a number, or a map and a name")),
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
    wrong(&format!("{:?} is not understood", what.trim())).hint(
        "it knows {{.Field}}, {{range .X}}…{{end}}, json, upper, lower, join, index, len, println",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(template: &str) -> String {
        let data = json!({"ID": "ab", "Config": {"Env": ["A=1", "B=2"], "User": null}, "N": 7,
            "L": [{"N": 1, "S": ["a", "b"]}, {"N": 2, "S": []}]});
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
            ("{{index .Config.Env 1}} {{len .Config.Env}}", "B=2 2"),
            ("{{index .Config \"Env\" 0 | lower}}", "a=1"),
            ("{{range .Config.Env}}{{println .}}{{end}}.", "A=1\nB=2\n."),
            ("{{range .L}}{{.N}}:{{range .S}}{{.}}{{end}} {{end}}", "1:ab 2: "),
            ("{{range .Config.User}}x{{end}}", ""),
        ] {
            assert_eq!(render(template), text, "{template}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for bad in [
            "{{",
            "{{}}",
            "{{ID}}",
            "{{.A..B}}",
            "{{range .X}}",
            "{{end}}",
            "{{if .X}}",
            "{{join .X}}",
            "{{index .X}}",
            "{{index .X y}}",
            "{{|}}",
        ] {
            let failure = Template::parse(bad).unwrap_err();
            assert!(failure.message.starts_with("cannot use the template"), "{bad}: {failure}");
        }
        // Nothing that can be written is a panic.
        let odd = "{{range .X}}a{{end}}{{index .X 0}}{{ .X | join \"|\" }}{{é}}}}{{json|.}}{{\\t}}\u{0}{{{.A.}}";
        let ends = || odd.char_indices().map(|(at, _)| at);
        for text in ends().flat_map(|from| ends().filter_map(move |to| odd.get(from..to))) {
            let _ = Template::parse(text).and_then(|template| template.render(&json!({"X": [1]})));
        }
        let template = Template::parse("{{.Nope}}").unwrap();
        let failure = template.render(&json!({"ID": 1})).unwrap_err();
        assert!(failure.message.contains(".Nope"));
        assert_eq!(failure.hint.unwrap(), "there are .ID");
        for bad in ["{{index .ID 0}}", "{{range .ID}}{{end}}", "{{len .N}}", "{{join .ID \"\"}}"] {
            let template = Template::parse(bad).unwrap();
            assert!(template.render(&json!({"ID": "ab", "N": 1})).is_err(), "{bad}");
        }
        assert!(Template::parse(&"{{range .}}".repeat(100)).is_err());
        assert!(Template::parse("{{.ID.X}}").unwrap().render(&json!({"ID": 1})).is_err());
    }
}
