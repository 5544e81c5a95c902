//! Names of classes that `--class-names` gives or that lie beside the images: the development kit, lines, or JSON.
//!
//! Lines are `NAME WORDS` where the names are ids (`n01440764 tench`, `3 cat`), `NAME NUMBER` (`/a/airfield 0`), else a name each
//! (`great white shark`). JSON is an array of names, an object of number to name (`{"0": "tench"}`, `{"0": ["n01440764", "tench"]}`), of name
//! to number (`class_to_idx`), of name to words, or the `config.json` of a model (`id2label`). Numbers run from 0. Cost: the file in memory.

use super::arrange::{is_wnid, shown};
use super::devkit;
use super::json_rows::reason;
use super::mount::Files;
use super::resolve::Names;
use super::table::decode;
use crate::data::format::MOST_CLASSES;
use crate::error::{Error, Result};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Bytes of class names.
const MOST: u64 = 64 << 20;

/// Names of classes as a file says them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassNames {
    /// The name of class n, and words for it.
    pub names: Names,
    /// Another reading of the same lines: the first word alone is the name.
    pub other: Option<Names>,
    /// Words by whatever a class may be called here: its name, or its number.
    pub words: HashMap<String, String>,
    pub note: Option<String>,
    /// A name that is there twice, and where.
    twice: Option<String>,
}

/// Names of classes, each its own.
///
/// # Errors
/// `Data`, naming what is not understood, or a name that is there twice.
pub fn read(path: &Path, files: &Files) -> Result<ClassNames> {
    let read = read_any(path, files)?;
    match read.twice {
        Some(twice) => Err(Error::data(twice).at(path.display().to_string())),
        None => Ok(read),
    }
}

/// Names of a network's outputs, which may have one twice: ImageNet has two cranes.
///
/// # Errors
/// `Data`, naming what is not understood.
pub fn read_outputs(path: &Path) -> Result<Names> {
    read_any(path, &Files::default()).map(|read| read.names)
}

fn read_any(path: &Path, files: &Files) -> Result<ClassNames> {
    if devkit::is_devkit(path, files) {
        return of_names(devkit::names(path, files)?, None, path);
    }
    let text = decode(path, files.read(path, MOST)?)?;
    let json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    if json || text.trim_start().starts_with(['{', '[']) {
        return match serde_json::from_str::<Json>(&text) {
            Ok(json) => of_json(json, path),
            Err(e) => Err(foreign(&text, path).unwrap_or_else(|| {
                wrong(format!("line {}, column {}: {}", e.line(), e.column(), reason(&e)), path).because("JSON that is damaged, or no JSON")
            })),
        };
    }
    match foreign(&text, path) {
        Some(e) => Err(e),
        None => of_lines(&text, path),
    }
}

fn wrong(what: String, path: &Path) -> Error {
    Error::data(what)
        .at(path.display().to_string())
        .next("one class a line, in the order of its number: NAME, or an id and words for it; or JSON: [\"tench\", \"goldfish\"] or {\"0\": \"tench\"}")
}

/// What a program's source or a settings file would be taken for.
fn foreign(text: &str, path: &Path) -> Option<Error> {
    let python = |l: &str| {
        let opens = |rest: &str| rest.trim_start().starts_with(['[', '{', '(']);
        let assigns = l.split_once('=').is_some_and(|(name, rest)| !name.trim().is_empty() && opens(rest));
        let literal = |l: &str| l.contains('\'') || l[1..].trim_start().starts_with(|c: char| c.is_ascii_digit());
        assigns || ["import ", "from ", "def ", "#!"].iter().any(|w| l.starts_with(w)) || l.starts_with(['{', '[', '(']) && literal(l)
    };
    let yaml = |l: &str| {
        let key = l.split_once(':').map(|(k, rest)| (k.trim(), rest));
        l.starts_with("- ")
            || key.is_some_and(|(k, rest)| k.bytes().all(|b| b.is_ascii_digit()) && !k.is_empty() && rest.starts_with(' ') || k == "names")
    };
    let mut lines =
        text.lines().enumerate().map(|(i, l)| (i + 1, l.trim())).filter(|(_, l)| !l.is_empty() && !l.starts_with("# ")).take(200);
    let (line, content, language, convert) = lines.find_map(|(i, l)| match l {
        l if python(l) => {
            Some((i, l, "Python", "import ast,json,sys; print(json.dumps(ast.literal_eval(sys.stdin.read().split('=')[-1].strip())))"))
        }
        l if yaml(l) => Some((i, l, "YAML", "import json,sys,yaml; print(json.dumps(yaml.safe_load(sys.stdin)))")),
        _ => None,
    })?;
    let file = path.display();
    Some(
        Error::data(format!("line {line} looks like {language}: \"{}\"", shown(content)))
            .at(file.to_string())
            .because("class names are read from lines or JSON")
            .next(format!("python3 -c \"{convert}\" < {file} > names.json, and --class-names names.json")),
    )
}

fn of_lines(text: &str, path: &Path) -> Result<ClassNames> {
    let mut lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(i, l)| (i + 1, l.trim())).collect();
    lines.retain(|(_, l)| !l.is_empty() && !l.starts_with("# "));
    let mut note = None;
    let head = |l: &str| {
        let words = [
            "class",
            "classes",
            "name",
            "names",
            "class_name",
            "classname",
            "label",
            "labels",
            "id",
            "class_id",
            "index",
            "category",
            "wnid",
        ];
        let mut fields = l.split([',', ';', '\t']).map(|f| f.trim().trim_matches('"').to_ascii_lowercase());
        fields.all(|f| words.contains(&f.as_str()))
    };
    if lines.len() > 1 && head(lines[0].1) {
        note = Some(format!("line {} of the class names (\"{}\") is taken for a header", lines[0].0, shown(lines[0].1)));
        lines.remove(0);
    }
    let is_number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let unquoted = |t: &str| t.trim().trim_matches('"').trim().to_owned();
    let split = |separates: fn(char) -> bool| -> Option<Vec<(String, String)>> {
        lines.iter().map(|(_, l)| l.split_once(separates).map(|(a, b)| (unquoted(a), unquoted(b)))).collect()
    };
    // `n01440764 tench`: an id has a digit.
    let id =
        |t: &str| t.bytes().any(|b| b.is_ascii_digit()) && t.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    let ids = |names: &Names| names.iter().all(|(name, _)| id(name));
    let by_comma = split(|c| matches!(c, ',' | ';' | '\t'))
        .filter(|n| n.iter().all(|(name, _)| is_wnid(name) || is_number(name)) || n.iter().all(|(_, w)| is_number(w)));
    let last_number = || {
        lines.iter().map(|(_, l)| l.rsplit_once(char::is_whitespace).map(|(a, b)| (unquoted(a), unquoted(b)))).collect::<Option<Names>>()
    };
    let blanks: Names = lines
        .iter()
        .map(|(_, l)| l.split_once(char::is_whitespace).map_or((unquoted(l), String::new()), |(a, b)| (unquoted(a), unquoted(b))))
        .collect();
    let whole: Names = lines.iter().map(|(_, l)| (unquoted(l), String::new())).collect();
    let numbers = |n: &Names| {
        let mut all: Vec<u64> = n.iter().filter_map(|(_, w)| w.parse().ok()).collect();
        all.sort_unstable();
        all.dedup();
        let distinct = n.iter().map(|(name, _)| name).collect::<HashSet<_>>().len() == n.len();
        let running = all.len() == n.len() && (0..).zip(&all).all(|(i, n)| i == *n || i + 1 == *n);
        // `0 3` is a number and a name that is one.
        running && distinct && !n.iter().all(|(name, _)| is_number(name)) && (all.first() == Some(&0) || !ids(n))
    };
    if let Some(numbered) = [by_comma.clone(), last_number()].into_iter().flatten().find(numbers) {
        return by_number(numbered.into_iter().map(|(name, n)| (n.parse().unwrap_or(u64::MAX), name, String::new())).collect(), path);
    }
    let (names, other) = match by_comma {
        Some(names) => (names, None),
        None if ids(&blanks) => (blanks, None),
        None => {
            let distinct = blanks.iter().map(|(n, _)| n).collect::<HashSet<_>>().len() == blanks.len();
            let other = (distinct && blanks != whole && !blanks.iter().any(|(n, _)| n.ends_with(','))).then_some(blanks);
            (whole, other)
        }
    };
    let named = of_names(names, Some(&lines.iter().map(|(n, _)| *n).collect::<Vec<_>>()), path)?;
    let mut words = named.words;
    for (name, text) in other.iter().flatten() {
        words.entry(name.clone()).or_insert_with(|| text.clone());
    }
    Ok(ClassNames { other, words, note, ..named })
}

/// Checks names and makes the words; `lines` are the numbers of their lines.
fn of_names(mut names: Names, lines: Option<&[usize]>, path: &Path) -> Result<ClassNames> {
    let (mut seen, mut twice) = (HashMap::new(), None);
    for (i, (name, _)) in names.iter_mut().enumerate() {
        // Places365 writes them as paths.
        *name = name.trim_start_matches('/').to_owned();
        let at = |i: usize| lines.and_then(|l| l.get(i)).map_or_else(|| format!("number {i}"), |l| format!("line {l}"));
        if name.is_empty() {
            return Err(wrong(format!("{}: a class without a name", at(i)), path));
        }
        if let (Some(before), None) = (seen.insert(name.clone(), i), &twice) {
            let kin = if lines.is_some() { "in " } else { "" };
            twice = Some(format!("{}: class {} is there already, {kin}{}", at(i), shown(name), at(before)));
        }
    }
    if names.is_empty() || names.len() as u64 > MOST_CLASSES {
        return Err(wrong(format!("{} class names", names.len()), path));
    }
    let words = names.iter().cloned().collect();
    Ok(ClassNames { names, words, twice, ..ClassNames::default() })
}

/// Names with their numbers, which run from 0.
fn by_number(mut all: Vec<(u64, String, String)>, path: &Path) -> Result<ClassNames> {
    all.sort_by_key(|(n, ..)| *n);
    if let Some((i, (n, name, _))) = all.iter().enumerate().find(|(i, (n, ..))| *n != *i as u64) {
        let what = if i == 0 {
            format!("the numbers begin with {n}")
        } else {
            format!("the numbers are not 0, 1, 2, ...: {i} is missing or there twice")
        };
        return Err(wrong(format!("{what} (\"{}\" is {n})", shown(name)), path).because("numbers of classes count from 0, as labels do"));
    }
    let words: Vec<(String, String)> = all
        .iter()
        .map(|(n, name, words)| (n.to_string(), if words.is_empty() { name.clone() } else { format!("{name}, {words}") }))
        .collect();
    let mut named = of_names(all.into_iter().map(|(_, name, words)| (name, words)).collect(), None, path)?;
    for (number, text) in words {
        named.words.entry(number).or_insert(text);
    }
    Ok(named)
}

fn of_json(json: Json, path: &Path) -> Result<ClassNames> {
    let bad = |what: &str| wrong(what.to_owned(), path).because("JSON that names no classes");
    match json {
        Json::Array(all) => {
            let names =
                all.into_iter().map(name_and_words).collect::<Option<Names>>().ok_or_else(|| bad("the array holds more than names"))?;
            of_names(names, None, path)
        }
        Json::Object(object) => {
            let below = ["id2label", "class_to_idx", "label2id", "idx_to_class", "names", "classes"];
            if let Some(at) = object.iter().position(|(k, v)| below.contains(&k.as_str()) && matches!(v, Json::Object(_) | Json::Array(_)))
            {
                let value = object.into_iter().nth(at).map(|(_, v)| v);
                return of_json(value.unwrap_or(Json::Other), path);
            }
            let key = |k: &str| k.parse::<u64>().ok().filter(|_| k.bytes().all(|b| b.is_ascii_digit()));
            if object.iter().all(|(k, _)| key(k).is_some()) {
                let all: Option<Vec<(u64, String, String)>> =
                    object.into_iter().map(|(k, v)| name_and_words(v).map(|(name, words)| (key(&k).unwrap_or(0), name, words))).collect();
                let all = all.ok_or_else(|| bad("the values are no names"))?;
                // Numbers from 1 are what the classes are called (Oxford Flowers), not ranks.
                if all.iter().all(|(n, ..)| *n > 0) {
                    let mut all: Vec<_> = all;
                    all.sort_by_key(|(n, ..)| *n);
                    let words = |name: String, words: String| if words.is_empty() { name } else { format!("{name}, {words}") };
                    return of_names(all.into_iter().map(|(n, name, w)| (n.to_string(), words(name, w))).collect(), None, path);
                }
                return by_number(all, path);
            }
            if object.iter().all(|(_, v)| matches!(v, Json::Number(Some(_)))) {
                let number = |v: &Json| if let Json::Number(Some(n)) = v { *n } else { 0 };
                return by_number(object.into_iter().map(|(k, v)| (number(&v), k, String::new())).collect(), path);
            }
            let words = |v: Json| match v {
                Json::Text(t) => Some(t),
                Json::Array(all) => all.into_iter().map(text).collect::<Option<Vec<_>>>().map(|a| a.join(", ")),
                _ => None,
            };
            let names = object.into_iter().map(|(k, v)| words(v).map(|w| (k, w))).collect::<Option<Names>>();
            of_names(names.ok_or_else(|| bad("an object whose values are neither names nor numbers"))?, None, path)
        }
        _ => Err(bad("neither an array nor an object")),
    }
}

fn text(json: Json) -> Option<String> {
    if let Json::Text(t) = json { Some(t) } else { None }
}

/// `"tench"`, or `["n01440764", "tench"]`.
fn name_and_words(json: Json) -> Option<(String, String)> {
    match json {
        Json::Text(name) => Some((name, String::new())),
        Json::Array(all) => {
            let mut all = all.into_iter().map(text).collect::<Option<Vec<_>>>()?.into_iter();
            Some((all.next()?, all.collect::<Vec<_>>().join(", ")))
        }
        _ => None,
    }
}

/// JSON whose objects keep the order of the file, and every key that is there.
enum Json {
    Text(String),
    /// A whole number from 0.
    Number(Option<u64>),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
    Other,
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Json;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_str<E>(self, v: &str) -> std::result::Result<Json, E> {
                Ok(Json::Text(v.to_owned()))
            }
            fn visit_u64<E>(self, v: u64) -> std::result::Result<Json, E> {
                Ok(Json::Number(Some(v)))
            }
            fn visit_i64<E>(self, v: i64) -> std::result::Result<Json, E> {
                Ok(Json::Number(u64::try_from(v).ok()))
            }
            fn visit_f64<E>(self, _: f64) -> std::result::Result<Json, E> {
                Ok(Json::Number(None))
            }
            fn visit_bool<E>(self, _: bool) -> std::result::Result<Json, E> {
                Ok(Json::Other)
            }
            fn visit_unit<E>(self) -> std::result::Result<Json, E> {
                Ok(Json::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Json, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    all.push(one);
                }
                Ok(Json::Array(all))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Json, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = map.next_entry()? {
                    all.push(one);
                }
                Ok(Json::Object(all))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
