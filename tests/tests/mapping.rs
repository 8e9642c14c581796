//! The mapping language against a model: a second reading of the rules of `docs/mapping.md`, on values instead of bytes.
//!
//! The model takes each expression apart again for each payload, keeps nothing between two of them and knows nothing of the
//! reader it is compared with. The payloads are spelled with blanks, escapes and members that later ones replace, and the
//! expressions are mostly paths to what a payload holds, so that most of them take a value.

use std::cell::Cell;

use hookyard::mapping::{Failure, Mapping, Unfillable};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::select,
    test_runner::{TestCaseError, TestRunner},
};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// Mappings and payloads that are compared.
const CASES: u32 = 20_000;

/// Names that payloads have. Some cannot be addressed, and some only look as if they were paths.
const NAMES: [&str; 15] = [
    "a", "b", "c", "id", "", "a b", " a", "é", "+a", "b+c", "a:b", "a[0]", "a]", "A", "0",
];

/// What a mapping says about one output field.
#[derive(Debug, Clone)]
enum Said {
    One(String),
    List(Vec<String>),
}

#[derive(Debug, Clone)]
struct Case {
    fields: Vec<(String, Said)>,
    payload: Value,
    /// Where the payload's text has a blank, an escape or a member too many.
    noise: Vec<u8>,
}

#[test]
fn a_mapping_does_what_the_rules_say() {
    let (values, all) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&case(), |case| {
        let text = spelled(&case.payload, &mut case.noise.iter().copied().cycle());
        let fields = accepted(&case)?;
        let mapping = Mapping::parse(&text_of(&fields)).map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        let again = Mapping::parse(mapping.as_text());
        prop_assert_eq!(again.as_ref(), Ok(&mapping), "its text is another mapping");

        let output = mapping
            .apply(text.as_bytes())
            .map(|output| String::from_utf8(output).expect("the output is JSON"));
        prop_assert_eq!(output, model::output(&fields, &case.payload), "{} on {}", mapping, text);
        for expression in fields.iter().flat_map(|(_, said)| said.expressions()) {
            all.set(all.get() + 1);
            values.set(values.get() + i32::from(!matches!(model::resolve(expression, &case.payload), Ok(model::Got::Nothing))));
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let (values, all) = (values.get(), all.get());
    assert!(
        values * 2 > all,
        "only {values} of {all} expressions took a value: the cases say little"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    /// The reader of payloads walks bytes by itself. What it is given may have been cut, or hold anything anywhere.
    #[test]
    fn no_payload_makes_a_mapping_panic(case in case(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut payload = spelled(&case.payload, &mut case.noise.iter().copied().cycle()).into_bytes();
        let at = at.index(payload.len());
        if cut {
            payload.truncate(at);
        } else {
            payload[at] = byte;
        }
        let is_json = serde_json::from_slice::<IgnoredAny>(&payload).is_ok() && std::str::from_utf8(&payload).is_ok();
        let outcome = Mapping::parse(&text_of(&accepted(&case)?)).expect("they are accepted").apply(&payload);
        prop_assert_eq!(matches!(outcome, Err(Failure::NotJson(_))), !is_json);
    }
}

/// The fields of a case that can be saved. What is refused takes nothing by the model either.
fn accepted(case: &Case) -> Result<Vec<(String, Said)>, TestCaseError> {
    let mut fields = case.fields.clone();
    for (name, said) in &case.fields {
        let Err(problems) = Mapping::parse(&text_of(&[(name.clone(), said.clone())])) else {
            continue;
        };
        let expressions = said.expressions();
        for problem in problems {
            let of_element = |(number, _): &(usize, &String)| problem.field == Some(format!("{name}[{number}]"));
            let refused = match said {
                Said::One(expression) => expression,
                Said::List(_) => expressions.iter().enumerate().find(of_element).expect("it names an element").1,
            };
            let value = model::resolve(refused, &case.payload);
            prop_assert_eq!(value, Ok(model::Got::Nothing), "{:?} was refused: {}", refused, problem);
        }
        fields.retain(|(other, _)| other != name);
    }
    Ok(fields)
}

impl Said {
    fn expressions(&self) -> &[String] {
        match self {
            Self::One(expression) => std::slice::from_ref(expression),
            Self::List(expressions) => expressions,
        }
    }
}

/// A mapping as text, with every field as often as it is there.
fn text_of(fields: &[(String, Said)]) -> String {
    let members: Vec<String> = fields
        .iter()
        .map(|(name, said)| match said {
            Said::One(expression) => format!("{}: {}", json!(name), json!(expression)),
            Said::List(expressions) => format!("{}: {}", json!(name), json!(expressions)),
        })
        .collect();
    format!("{{{}}}", members.join(" , "))
}

/// A payload as text, in one of the many ways to write it.
fn spelled(value: &Value, noise: &mut impl Iterator<Item = u8>) -> String {
    let mut next = || noise.next().unwrap_or_default();
    let blank = [" ", "", "", "\n", "", "\t ", "", ""][usize::from(next() % 8)];
    match value {
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(|element| spelled(element, noise)).collect();
            format!("{blank}[{}{blank}]", elements.join(","))
        }
        Value::Object(members) => {
            let mut parts = Vec::new();
            for (name, member) in members {
                let replaced =
                    [r#"{"a":1,"b":[2]}"#, r#"[{"a":3},4]"#, "5", "null"].get(usize::from(noise.next().unwrap_or_default() % 16));
                if let Some(replaced) = replaced {
                    parts.push(format!("{}:{replaced}", json!(name)));
                }
                let name = if noise.next().is_some_and(|byte| byte % 4 == 0) {
                    let units: Vec<String> = name.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
                    format!("\"{}\"", units.concat())
                } else {
                    json!(name).to_string()
                };
                parts.push(format!("{blank}{name}{blank}:{}", spelled(member, noise)));
            }
            format!("{{{}{blank}}}{blank}", parts.join(","))
        }
        Value::Number(number) if number.is_f64() && next() % 2 == 0 => format!("{:e}{blank}", number.as_f64().expect("it is a double")),
        scalar => format!("{blank}{scalar}{blank}"),
    }
}

/// The paths of all values of a payload that have one.
fn paths(value: &Value, path: &str, found: &mut Vec<(String, bool)>) {
    let mut visit = |path: String, part: &Value| {
        found.push((path.clone(), !part.is_object() && !part.is_array() && !part.is_null()));
        paths(part, &path, found);
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter().filter(|(name, _)| !name.contains([':', '['])) {
                let separator = if path.is_empty() { "" } else { ":" };
                visit(format!("{path}{separator}{name}"), member);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                // An array that is an element itself has its index in a segment of its own.
                let separator = if path.ends_with(']') { ":" } else { "" };
                visit(format!("{path}{separator}[{index}]"), element);
            }
        }
        _ => {}
    }
}

fn case() -> impl Strategy<Value = Case> {
    (payload(), vec(any::<u8>(), 1..40)).prop_flat_map(|(payload, noise)| {
        let mut all = Vec::new();
        paths(&payload, "", &mut all);
        let list = |wanted: &dyn Fn(&(String, bool)) -> bool| {
            let mut list: Vec<String> = all.iter().filter(|path| wanted(path)).map(|(path, _)| path.clone()).collect();
            list.extend(list.is_empty().then(|| "a".to_owned()));
            list
        };
        let (scalars, others) = (list(&|path| path.1), list(&|path| !path.1));
        vec(field(&scalars, &others), 0..6).prop_map(move |fields| Case {
            fields,
            payload: payload.clone(),
            noise: noise.clone(),
        })
    })
}

fn field(scalars: &[String], others: &[String]) -> impl Strategy<Value = (String, Said)> + use<> {
    let expression = expression(scalars, others).boxed();
    let said = prop_oneof![
        3 => expression.clone().prop_map(Said::One),
        1 => vec(expression, 0..5).prop_map(Said::List),
    ];
    // Few names, so that some appear twice.
    (
        select(vec!["x", "y", "z", "", "a:b", "é\"", "w", "v"]).prop_map(str::to_owned),
        said,
    )
}

fn expression(scalars: &[String], others: &[String]) -> impl Strategy<Value = String> + use<> {
    let scalar = select(scalars.to_vec());
    let blank = select(vec!["", "", " ", "\u{a0}", "\t"]);
    let spoiled = (scalar.clone(), select(vec!["[0]", ":a", "tail", "]", "+", "[", ":", "+a", " "]));
    prop_oneof![
        10 => scalar.clone(),
        8 => (scalar.clone(), blank.clone(), blank.clone(), scalar.clone())
            .prop_map(|(left, one, two, right)| format!("{one}{left}{two}+{one}{right}")),
        1 => (blank.clone(), scalar.clone(), blank).prop_map(|(one, path, two)| format!("{one}{path}{two}")),
        1 => select(others.to_vec()),
        1 => (select(others.to_vec()), scalar).prop_map(|(left, right)| format!("{left}+{right}")),
        1 => spoiled.clone().prop_map(|(path, with)| path + with),
        1 => spoiled.prop_map(|(path, with)| format!("{with}{path}")),
        1 => "[ab:\\[\\]+0 1-]{0,8}",
    ]
}

fn payload() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        4 => (-20_i64..20).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => (1_u64 << 63..).prop_map(Value::from),
        2 => (-100_i32..100).prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        2 => any::<f64>().prop_filter("JSON has no other", |double| double.is_finite()).prop_map(Value::from),
        1 => (-9_i32..22, 1..1_000_i32).prop_map(|(power, factor)| Value::from(f64::from(factor) * 10_f64.powi(power))),
        1 => select(vec![-0.0, 1e15, 1e16, 1e17, 99_999_999_999_999_984.0, 1e-4, 9.999e-5, 1e-5, f64::MAX, 5e-324]).prop_map(Value::from),
        4 => select(vec!["", "p", "q r", "7", "é\"\\\n", "\u{0}\u{1f}😀", "}],:{["]).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
    ];
    let name = select(NAMES.to_vec()).prop_map(str::to_owned);
    let nested = scalar.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..5).prop_map(Value::from),
            2 => btree_map(name.clone(), inner, 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    let of_names = btree_map(select(NAMES.to_vec()).prop_map(str::to_owned), nested.clone(), 1..8);
    prop_oneof![
        6 => of_names.prop_map(|members| Value::Object(members.into_iter().collect())),
        2 => vec(nested.clone(), 1..5).prop_map(Value::from),
        1 => nested,
    ]
}

/// The rules of `docs/mapping.md` once more, as directly as they can be said.
mod model {
    use super::{Failure, Said, Unfillable, Value, json};

    #[derive(Debug, Clone, PartialEq)]
    pub enum Got {
        Nothing,
        Integer(i64),
        Double(f64),
        Text(String),
        Boolean(bool),
    }

    pub fn output(fields: &[(String, Said)], payload: &Value) -> Result<String, Failure> {
        // A name that appears again replaces what was said before, where it was said.
        let mut last: Vec<&(String, Said)> = Vec::new();
        for field in fields {
            match last.iter().position(|known| known.0 == field.0) {
                Some(at) => last[at] = field,
                None => last.push(field),
            }
        }
        let mut members = Vec::new();
        for (name, said) in last {
            let failed = |why| Failure::Field { field: name.clone(), why };
            let values: Result<Vec<Option<String>>, Unfillable> = said
                .expressions()
                .iter()
                .map(|expression| resolve(expression, payload).map(|got| got.json()))
                .collect();
            let values = values.map_err(failed)?;
            let value = match said {
                Said::One(_) => values.into_iter().next().flatten(),
                Said::List(_) => {
                    let slots: Vec<String> = values.into_iter().map(|value| value.unwrap_or("null".to_owned())).collect();
                    Some(format!("[{}]", slots.join(",")))
                }
            };
            members.extend(value.map(|value| format!("{}:{value}", json!(name))));
        }
        Ok(format!("{{{}}}", members.join(",")))
    }

    pub fn resolve(expression: &str, payload: &Value) -> Result<Got, Unfillable> {
        let expression = expression.trim();
        // A `+` in the first place is none.
        let later = expression.char_indices().skip(1);
        let plus = later
            .filter(|_| !expression.starts_with('+'))
            .find(|(_, character)| *character == '+');
        match plus {
            None => Ok(scalar(expression, payload)),
            Some((at, _)) => sum(
                scalar(expression[..at].trim(), payload),
                scalar(expression[at + 1..].trim(), payload),
            ),
        }
    }

    fn sum(left: Got, right: Got) -> Result<Got, Unfillable> {
        let double = |got: &Got| match got {
            Got::Integer(integer) => *integer as f64,
            Got::Double(double) => *double,
            _ => f64::NAN,
        };
        Ok(match (&left, &right) {
            (Got::Nothing | Got::Boolean(_), _) | (_, Got::Nothing | Got::Boolean(_)) => Got::Nothing,
            (Got::Text(_), _) | (_, Got::Text(_)) => Got::Text(left.text() + &right.text()),
            (Got::Integer(one), Got::Integer(two)) => {
                let exact = i128::from(*one) + i128::from(*two);
                Got::Integer(i64::try_from(exact).map_err(|_| Unfillable::IntegerSum)?)
            }
            _ => match double(&left) + double(&right) {
                sum if sum.is_finite() => Got::Double(sum),
                _ => return Err(Unfillable::DoubleSum),
            },
        })
    }

    fn scalar(path: &str, payload: &Value) -> Got {
        // Nothing at all is not the name "".
        let value = if path.is_empty() { None } else { follow(payload, path) };
        match value {
            None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => Got::Nothing,
            Some(Value::Bool(boolean)) => Got::Boolean(*boolean),
            Some(Value::String(text)) => Got::Text(text.clone()),
            Some(Value::Number(number)) => match number.as_i64() {
                Some(integer) => Got::Integer(integer),
                None => Got::Double(number.as_f64().expect("a number is finite here")),
            },
        }
    }

    fn follow<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
        let colon = path.find(':');
        let segment = colon.map_or(path, |colon| &path[..colon]);
        let part = match segment.find('[') {
            None => value.as_object()?.get(segment)?,
            Some(bracket) => {
                let array = if bracket == 0 {
                    value
                } else {
                    value.as_object()?.get(&segment[..bracket])?
                };
                let index = &segment[bracket + 1..][..segment[bracket + 1..].find(']')?];
                let is_number = !index.is_empty() && index.chars().all(|character| character.is_ascii_digit());
                array.as_array()?.get(is_number.then(|| index.parse::<usize>().ok())??)?
            }
        };
        colon.map_or(Some(part), |colon| follow(part, &path[colon + 1..]))
    }

    impl Got {
        fn json(&self) -> Option<String> {
            match self {
                Self::Nothing => None,
                Self::Text(text) => Some(json!(text).to_string()),
                other => Some(other.text()),
            }
        }

        fn text(&self) -> String {
            match self {
                Self::Nothing => String::new(),
                Self::Integer(integer) => integer.to_string(),
                Self::Double(double) => digits(*double),
                Self::Text(text) => text.clone(),
                Self::Boolean(boolean) => boolean.to_string(),
            }
        }
    }

    /// The shortest digits of a double, with the point put among them by hand, or with an exponent if it would be more than
    /// 17 digits to the right or three zeros to the left of them.
    fn digits(double: f64) -> String {
        let shortest = format!("{:e}", double.abs());
        let (mantissa, exponent) = shortest.split_once('e').expect("it has an exponent");
        let (digits, exponent): (String, i32) = (mantissa.replace('.', ""), exponent.parse().expect("a number"));
        let sign = if double.is_sign_negative() { "-" } else { "" };
        let point = exponent + 1;
        let count = i32::try_from(digits.len()).expect("there are at most 17");
        let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
        if !(-3..=17).contains(&point) {
            let direction = if exponent < 0 { '-' } else { '+' };
            format!("{sign}{mantissa}E{direction}{:02}", exponent.abs())
        } else if point <= 0 {
            format!("{sign}0.{}{digits}", zeros(-point))
        } else if point >= count {
            format!("{sign}{digits}{}", zeros(point - count))
        } else {
            let (whole, fraction) = digits.split_at(usize::try_from(point).expect("it is positive"));
            format!("{sign}{whole}.{fraction}")
        }
    }
}
