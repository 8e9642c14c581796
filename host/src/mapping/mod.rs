//! The mapping language: output fields, and expressions that say which values of a payload they take.
//!
//! What each expression means is written down in `docs/mapping.md`, and cited here by section. This module is pure: text
//! becomes a [`Mapping`], and a payload other bytes. It knows neither senders nor what becomes of an event that failed.
//!
//! A payload is never built up as a tree of values. The places that a mapping names form a tree of their own
//! ([`Places`]); one pass over the payload's text remembers where each of them was last seen ([`Seen`]), and only those
//! are then read. A number is read from its own digits, so that every double is the nearest one.

use std::collections::{BTreeMap, HashMap};
use std::{borrow::Cow, fmt, io::Write, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, json, value::RawValue};

/// Bytes of a mapping's text: as many as a sender's configuration for a plugin may have.
pub const TEXT_BYTES_MAX: usize = 64 * 1_024;

/// Output fields of one mapping. The output is one flat record, and those that people fill have some dozens of fields.
pub const FIELDS_MAX: usize = 1_000;

/// How deep a payload may be nested: as deep as `serde_json` reads into a value, so that a payload which can be mapped can
/// also be read by a plugin or a receiver that is built with it. It also bounds the recursion here.
pub const DEPTH_MAX: usize = 127;

/// By how many bytes an output may exceed its payload: as many as a plugin may hand over for one event. Whatever takes
/// each value once stays far below; a mapping that takes one long text a thousand times does not.
pub const GROWTH_BYTES_MAX: usize = 16 << 20;

/// Bytes of a number that is taken. A double needs at most 767 digits to be told from its neighbours; without this bound a
/// mapping that takes one endless number thousands of times would read it as often.
const NUMBER_BYTES_MAX: usize = 1_024;

/// Problems that are told of one mapping: a person mends the first ones and tries again.
const PROBLEMS_MAX: usize = 100;

/// Expressions for output fields, checked and ready to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    text: Box<str>,
    fields: Vec<(String, Wanted)>,
    places: Places,
}

/// Why a text cannot be saved as a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The output field; for an element of an array with its number, as in `pair[1]`. None: the mapping as a whole.
    pub field: Option<String>,
    /// What is wrong, as the rest of a sentence that begins with the field.
    pub why: String,
}

/// Why a mapping could not be applied to a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The payload is not JSON in UTF-8; the text says where and why.
    #[error("cannot read the payload as JSON: {0}")]
    NotJson(String),
    /// The payload has more than [`DEPTH_MAX`] levels, wherever in it.
    #[error("the payload is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// This output field cannot be filled.
    #[error("cannot fill {field:?}: {why}")]
    Field { field: String, why: Unfillable },
}

/// Why a value cannot be taken, although it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfillable {
    /// A number such as `1e400`, or one with more than a thousand digits.
    #[error("a number in the payload is too large for 64 bits, or too long")]
    Number,
    /// A text that is not Unicode.
    #[error("a text in the payload has half of a surrogate pair")]
    Text,
    #[error("the sum of two integers is too large for 64 bits")]
    IntegerSum,
    #[error("the sum of two numbers is too large for 64 bits")]
    DoubleSum,
    /// With this field the output exceeds the payload by more than [`GROWTH_BYTES_MAX`].
    #[error("the output would exceed the payload by more than {GROWTH_BYTES_MAX} bytes")]
    TooLarge,
}

impl Mapping {
    /// Reads a JSON object of output fields and expressions. Of several members with one name the last value counts, at the
    /// place of the first.
    ///
    /// # Errors
    /// All that is wrong, up to a hundred problems: what is not such an object, what is too large, and each expression that
    /// could never take a value from any payload (`docs/mapping.md`, section 4).
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let whole = |why: String| vec![Problem { field: None, why }];
        if text.len() > TEXT_BYTES_MAX {
            return Err(whole(format!("is longer than {TEXT_BYTES_MAX} bytes")));
        }
        let Members(members) =
            serde_json::from_str(text).map_err(|error| whole(format!("is not a JSON object of output fields and expressions: {error}")))?;
        if members.len() > FIELDS_MAX {
            return Err(whole(format!("has more than {FIELDS_MAX} output fields")));
        }
        let pairs: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        let text = format!("{{{}}}", pairs.join(",")).into();
        let mut places = Places(vec![Place::default()]);
        let mut problems = Vec::new();
        let mut fields = Vec::with_capacity(members.len());
        for (name, value) in members {
            match Wanted::read(&value, &mut places) {
                Ok(wanted) => fields.push((name, wanted)),
                Err(wrong) => problems.extend(wrong.into_iter().take(PROBLEMS_MAX - problems.len()).map(|(element, why)| {
                    let field = element.map_or_else(|| name.clone(), |element| format!("{name}[{element}]"));
                    Problem { field: Some(field), why }
                })),
            }
        }
        let mapping = Self { text, fields, places };
        if problems.is_empty() { Ok(mapping) } else { Err(problems) }
    }

    /// The mapping as JSON text: without blanks, in its own order. It reads as the same mapping again.
    pub fn as_text(&self) -> &str {
        &self.text
    }

    /// Takes from a payload what the expressions name: a JSON object without blanks, its members in the mapping's order.
    ///
    /// # Errors
    /// [`Failure`], at the first output field that cannot be filled. That there is no value to fill it with is not one.
    pub fn apply(&self, payload: &[u8]) -> Result<Vec<u8>, Failure> {
        let json: &RawValue = serde_json::from_slice(payload).map_err(|error| Failure::NotJson(error.to_string()))?;
        let seen = Seen::in_json(&self.places, json.get())?;
        let bytes_max = payload.len().saturating_add(GROWTH_BYTES_MAX);
        let mut out = vec![b'{'];
        for (name, wanted) in &self.fields {
            let written = wanted.write(name, &seen, bytes_max, &mut out);
            written.map_err(|why| Failure::Field { field: name.clone(), why })?;
        }
        out.push(b'}');
        Ok(out)
    }
}

/// The text of [`Mapping::as_text`].
impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "the field {field:?} {}", self.why),
            None => write!(f, "the mapping {}", self.why),
        }
    }
}

/// The members of a JSON object in the order of the text, which [`Value`] does not keep.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if let Some(known) = self.0.iter_mut().find(|(known, _)| *known == name) {
                known.1 = value;
            } else if self.0.len() <= FIELDS_MAX {
                // One more than may be, so that it is noticed.
                self.0.push((name, value));
            }
        }
        Ok(self)
    }
}

/// What a field is filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    /// A value; without it the field is left out.
    One(Expression),
    /// An array with a slot for each; a slot without a value is null.
    List(Vec<Expression>),
}

impl Wanted {
    /// What is wrong otherwise, with the number of the element that it is wrong with.
    fn read(value: &Value, places: &mut Places) -> Result<Self, Vec<(Option<usize>, String)>> {
        let Value::Array(elements) = value else {
            let one = Expression::read(value, "an expression is a string or an array of strings", places);
            return one.map(Self::One).map_err(|why| vec![(None, why)]);
        };
        let (mut expressions, mut wrong) = (Vec::with_capacity(elements.len()), Vec::new());
        for (number, element) in elements.iter().enumerate() {
            match Expression::read(element, "inside an array an expression is a string", places) {
                Ok(expression) => expressions.push(expression),
                Err(why) => wrong.push((Some(number), why)),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self::List(expressions))
    }

    /// Adds a member with this name to an output that may have `bytes_max` bytes.
    fn write(&self, name: &str, seen: &Seen<'_>, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Unfillable> {
        let fits = |out: &[u8]| if out.len() > bytes_max { Err(Unfillable::TooLarge) } else { Ok(()) };
        let before = out.len();
        if before > 1 {
            out.push(b',');
        }
        write_text(out, name);
        out.push(b':');
        match self {
            Self::One(expression) => match expression.value(seen)? {
                Some(value) => value.write(out),
                None => out.truncate(before),
            },
            Self::List(expressions) => {
                out.push(b'[');
                for (number, expression) in expressions.iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    match expression.value(seen)? {
                        Some(value) => value.write(out),
                        None => out.extend_from_slice(b"null"),
                    }
                    fits(out)?;
                }
                out.push(b']');
            }
        }
        fits(out)
    }
}

/// Where a value comes from: the numbers of one or two of [`Places`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expression {
    Path(usize),
    Sum(usize, usize),
}

impl Expression {
    /// Reads one expression (`docs/mapping.md`, section 1), which by this rule is a string.
    fn read(value: &Value, rule: &str, places: &mut Places) -> Result<Self, String> {
        let text = match value {
            Value::String(text) => text.trim(),
            Value::Null => return Err(format!("is null: {rule}")),
            Value::Bool(_) => return Err(format!("is a boolean: {rule}")),
            Value::Number(_) => return Err(format!("is a number: {rule}")),
            Value::Array(_) => return Err(format!("is an array: {rule}")),
            Value::Object(_) => return Err(format!("is an object: {rule}")),
        };
        if text.is_empty() {
            return Err("is empty: an expression names a value, as in `user:name`".to_owned());
        }
        // The first `+` splits, and no other does; as the very first character it belongs to the name.
        let Some(plus) = text.find('+').filter(|at| *at > 0) else {
            return Ok(Self::Path(places.add(&steps(text)?)));
        };
        let (left, right) = (text[..plus].trim_end(), text[plus + 1..].trim_start());
        if right.is_empty() {
            return Err("has nothing after its `+`".to_owned());
        }
        Ok(Self::Sum(places.add(&steps(left)?), places.add(&steps(right)?)))
    }

    fn value<'p>(self, seen: &Seen<'p>) -> Result<Option<Scalar<'p>>, Unfillable> {
        match self {
            Self::Path(place) => seen.scalar(place).map(Scalar::read).transpose(),
            Self::Sum(left, right) => match (seen.scalar(left), seen.scalar(right)) {
                // Booleans are known by their first letter, so that no long text beside one is read in vain, as often as a
                // mapping names it.
                (Some(left), Some(right)) if !left.starts_with(['t', 'f']) && !right.starts_with(['t', 'f']) => {
                    Scalar::read(left)?.plus(Scalar::read(right)?).map(Some)
                }
                _ => Ok(None),
            },
        }
    }
}

/// One step from a value into it.
#[derive(Debug, Clone, Copy)]
enum Step<'t> {
    Member(&'t str),
    Element(u32),
}

/// Reads a path. A name is taken as it is, blanks and emptiness included: JSON allows both.
fn steps(path: &str) -> Result<Vec<Step<'_>>, String> {
    let mut steps = Vec::new();
    for segment in path.split(':') {
        let Some((name, rest)) = segment.split_once('[') else {
            steps.push(Step::Member(segment));
            continue;
        };
        // What comes after the first `]` of a segment counts for nothing, even if it is another index.
        let Some((index, _)) = rest.split_once(']') else {
            return Err(format!("has a `[` without a `]` in {segment:?}"));
        };
        if !name.is_empty() {
            steps.push(Step::Member(name));
        }
        // Digits alone: the standard parser would also take a sign. An array with more elements than a `u32` counts is
        // larger than any payload.
        let is_number = index.bytes().all(|byte| byte.is_ascii_digit());
        let Some(element) = index.parse().ok().filter(|_| is_number) else {
            return Err(format!(
                "has the index {index:?}, which is not a whole number from 0 to {}",
                u32::MAX
            ));
        };
        steps.push(Step::Element(element));
    }
    if steps.len() > DEPTH_MAX {
        return Err(format!("goes deeper than the {DEPTH_MAX} levels that a payload may have"));
    }
    Ok(steps)
}

/// The places that a mapping names, as a tree. A place is known by its number; the root is the first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Places(Vec<Place>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    /// The place it is a member or an element of; the root's own for the root.
    within: usize,
    members: HashMap<Box<str>, usize>,
    elements: BTreeMap<u32, usize>,
}

const ROOT: usize = 0;

impl Places {
    /// The number of the place at the end of a path.
    fn add(&mut self, path: &[Step<'_>]) -> usize {
        path.iter().fold(ROOT, |within, step| {
            let new = self.0.len();
            let place = &mut self.0[within];
            let number = match *step {
                Step::Member(name) => *place.members.entry(name.into()).or_insert(new),
                Step::Element(index) => *place.elements.entry(index).or_insert(new),
            };
            if number == new {
                self.0.push(Place {
                    within,
                    ..Place::default()
                });
            }
            number
        })
    }
}

/// Where in a payload's text the places of a mapping were last seen. Walks bytes, and never beyond the text: that it is
/// JSON has been checked before.
struct Seen<'p> {
    places: &'p [Place],
    json: &'p str,
    /// For each place the bytes of the last value there, empty if there was none. Of two members with one name the last
    /// counts: what was seen inside the first is known by its being outside the last ([`Seen::at`]).
    last: Vec<Range<usize>>,
}

impl<'p> Seen<'p> {
    /// Walks over JSON without blanks around it.
    fn in_json(Places(places): &'p Places, json: &'p str) -> Result<Self, Failure> {
        let last = vec![0..0; places.len()];
        let mut seen = Self { places, json, last };
        seen.walk(ROOT, 0, 0)?;
        Ok(seen)
    }

    /// The JSON of a scalar. None where there is nothing, an object, an array or null (`docs/mapping.md`, section 2).
    fn scalar(&self, place: usize) -> Option<&'p str> {
        self.at(place).filter(|json| !json.starts_with(['{', '[', 'n']))
    }

    fn at(&self, place: usize) -> Option<&'p str> {
        let mut inner = place;
        while inner != ROOT {
            let outer = self.places[inner].within;
            let (part, whole) = (&self.last[inner], &self.last[outer]);
            if part.start <= whole.start || part.end >= whole.end {
                return None;
            }
            inner = outer;
        }
        Some(&self.json[self.last[place].clone()])
    }

    /// Walks the value that begins at `start`, with `around` levels around it, and returns where it ends. Calls itself
    /// once for each step of a path, so [`DEPTH_MAX`] bounds it.
    fn walk(&mut self, place: usize, start: usize, around: usize) -> Result<usize, Failure> {
        let places: &'p [Place] = self.places;
        let Place { members, elements, .. } = &places[place];
        let end = match self.byte(start) {
            b'{' if !members.is_empty() => self.walk_object(members, start, deeper(around)?)?,
            b'[' if !elements.is_empty() => self.walk_array(elements, start, deeper(around)?)?,
            _ => self.skip(start, around)?,
        };
        self.last[place] = start..end;
        Ok(end)
    }

    fn walk_object(&mut self, members: &HashMap<Box<str>, usize>, start: usize, depth: usize) -> Result<usize, Failure> {
        let mut at = self.after_blanks(start + 1);
        while self.byte(at) != b'}' {
            let key_end = self.after_text(at);
            let member = unescaped(&self.json[at..key_end]).and_then(|key| members.get(&*key));
            let colon = self.after_blanks(key_end);
            at = self.walk_part(member, self.after_blanks(colon + 1), depth)?;
        }
        Ok(at + 1)
    }

    fn walk_array(&mut self, elements: &BTreeMap<u32, usize>, start: usize, depth: usize) -> Result<usize, Failure> {
        let mut at = self.after_blanks(start + 1);
        let mut index = 0;
        while self.byte(at) != b']' {
            at = self.walk_part(elements.get(&index), at, depth)?;
            index = index.saturating_add(1);
        }
        Ok(at + 1)
    }

    /// Walks one member's or element's value, and returns where the next one or the closing bracket is.
    fn walk_part(&mut self, place: Option<&usize>, start: usize, depth: usize) -> Result<usize, Failure> {
        let end = match place {
            Some(&place) => self.walk(place, start, depth)?,
            None => self.skip(start, depth)?,
        };
        let at = self.after_blanks(end);
        Ok(if self.byte(at) == b',' { self.after_blanks(at + 1) } else { at })
    }

    /// The end of a value in which nothing is looked for. Counts brackets instead of calling itself.
    fn skip(&self, start: usize, around: usize) -> Result<usize, Failure> {
        let (mut depth, mut at) = (around, start);
        loop {
            let byte = self.byte(at);
            match byte {
                b'{' | b'[' => depth = deeper(depth)?,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            at = match byte {
                b'"' => self.after_text(at),
                b'{' | b'[' | b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => at + 1,
                _ => self.after_word(at),
            };
            if depth == around {
                return Ok(at);
            }
        }
    }

    fn byte(&self, at: usize) -> u8 {
        self.json.as_bytes()[at]
    }

    fn after_blanks(&self, start: usize) -> usize {
        self.first(start, |byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
    }

    /// The end of a number, `true`, `false` or `null`.
    fn after_word(&self, start: usize) -> usize {
        self.first(start, |byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'))
    }

    /// The end of a text that begins at `start` with its quotation mark.
    fn after_text(&self, start: usize) -> usize {
        let mut at = start + 1;
        loop {
            at = self.first(at, |byte| matches!(byte, b'"' | b'\\'));
            if self.byte(at) == b'"' {
                return at + 1;
            }
            at += 2;
        }
    }

    fn first(&self, start: usize, is: impl Fn(u8) -> bool) -> usize {
        let rest = &self.json.as_bytes()[start..];
        start + rest.iter().position(|byte| is(*byte)).unwrap_or(rest.len())
    }
}

fn deeper(depth: usize) -> Result<usize, Failure> {
    if depth == DEPTH_MAX { Err(Failure::TooDeep) } else { Ok(depth + 1) }
}

/// What a JSON string says. None if it has half of a surrogate pair: as a key it equals no name in a mapping.
fn unescaped(json: &str) -> Option<Cow<'_, str>> {
    let inner = &json[1..json.len() - 1];
    if inner.contains('\\') {
        serde_json::from_str(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// A value that can be taken.
#[derive(Debug)]
enum Scalar<'p> {
    Text(Cow<'p, str>),
    Integer(i64),
    Double(f64),
    Boolean(bool),
}

impl<'p> Scalar<'p> {
    /// Reads the JSON of a scalar that is not null.
    fn read(json: &'p str) -> Result<Self, Unfillable> {
        match json.as_bytes()[0] {
            b't' => Ok(Self::Boolean(true)),
            b'f' => Ok(Self::Boolean(false)),
            b'"' => unescaped(json).map(Self::Text).ok_or(Unfillable::Text),
            _ if json.len() > NUMBER_BYTES_MAX => Err(Unfillable::Number),
            // An integer if it is written as one and fits into 64 bits, else the nearest double.
            _ => json
                .parse()
                .map(Self::Integer)
                .or_else(|_| finite(json.parse().unwrap_or(f64::INFINITY)).ok_or(Unfillable::Number)),
        }
    }

    /// The sum or the concatenation of two values of which neither is a boolean (`docs/mapping.md`, section 2).
    fn plus(self, other: Self) -> Result<Self, Unfillable> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => left.checked_add(right).map(Self::Integer).ok_or(Unfillable::IntegerSum),
            (Self::Integer(integer), Self::Double(double)) | (Self::Double(double), Self::Integer(integer)) => {
                finite(double + integer as f64).ok_or(Unfillable::DoubleSum)
            }
            (Self::Double(left), Self::Double(right)) => finite(left + right).ok_or(Unfillable::DoubleSum),
            (left, right) => Ok(Self::Text(format!("{left}{right}").into())),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write_text(out, text),
            other => write!(out, "{other}").expect("a Vec takes whatever is written"),
        }
    }
}

/// The text form, which is what a concatenation takes. For numbers and booleans it is JSON, too.
///
/// A double has the fewest digits that read as the same double, laid out as .NET does it: `1` for `1.0`, `-0` for `-0.0`,
/// and an exponent from 1e17 on and below 0.0001, as in `1E+17` and `1.5E-05`. That `1e17`, `1E+17` and
/// `100000000000000000.0` differ is of no account in JSON: they are the same number.
impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(integer) => write!(f, "{integer}"),
            Self::Boolean(boolean) => write!(f, "{boolean}"),
            Self::Double(double) if *double == 0.0 || (1e-4..1e17).contains(&double.abs()) => write!(f, "{double}"),
            Self::Double(double) => {
                let shortest = format!("{double:e}");
                let (digits, exponent) = shortest.split_once('e').expect("this format has an exponent");
                let exponent: i32 = exponent.parse().expect("an exponent is a small integer");
                write!(f, "{digits}E{exponent:+03}")
            }
        }
    }
}

fn finite<'p>(double: f64) -> Option<Scalar<'p>> {
    double.is_finite().then_some(Scalar::Double(double))
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a Vec takes any text");
}

#[cfg(test)]
mod tests;
