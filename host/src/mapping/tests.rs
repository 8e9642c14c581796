//! Each rule of `docs/mapping.md` as a table: a mapping, a payload, and the bytes that come out.

use super::*;

/// A mapping, a payload and the output.
type Case = (&'static str, &'static str, &'static str);

fn mapping(text: &str) -> Mapping {
    Mapping::parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

fn applied(text: &str, payload: &str) -> Result<String, Failure> {
    let output = mapping(text).apply(payload.as_bytes())?;
    Ok(String::from_utf8(output).expect("the output is JSON"))
}

fn check(rule: &str, cases: &[Case]) {
    for (number, (mapping, payload, expected)) in cases.iter().enumerate() {
        let output = applied(mapping, payload);
        assert_eq!(output.as_deref(), Ok(*expected), "{rule}, case {number}: {mapping} on {payload}");
    }
}

#[test]
fn the_worked_example_comes_out_as_written_down() {
    check(
        "the example",
        &[(
            r#"{"who":"user:name","n":"qty+extra","first":"tags[0]","pair":["id","nope"]}"#,
            r#"{"id":7,"user":{"name":"Ana"},"qty":2,"extra":0.5,"tags":["x"]}"#,
            r#"{"who":"Ana","n":2.5,"first":"x","pair":[7,null]}"#,
        )],
    );
}

#[test]
fn rule_1_names_are_literal_and_keep_the_order_of_the_mapping() {
    check(
        "rule 1",
        &[
            ("{}", r#"{"a":1}"#, "{}"),
            (r#"{"a:b":"x"}"#, r#"{"x":1}"#, r#"{"a:b":1}"#),
            (r#"{"a+b":"x","c[0]":"x"}"#, r#"{"x":1}"#, r#"{"a+b":1,"c[0]":1}"#),
            (r#"{"z":"a","a":"b","m":"c"}"#, r#"{"c":3,"b":2,"a":1}"#, r#"{"z":1,"a":2,"m":3}"#),
            (r#"{"":"a"}"#, r#"{"a":1}"#, r#"{"":1}"#),
            (r#"{" b ":"a"}"#, r#"{"a":1}"#, r#"{" b ":1}"#),
            (r#"{"q\"\\\n":"a"}"#, r#"{"a":1}"#, r#"{"q\"\\\n":1}"#),
            (r#"{"caf\u00e9":"a"}"#, r#"{"a":1}"#, r#"{"café":1}"#),
            (r#"{"x":"no","y":"a","z":"no"}"#, r#"{"a":1}"#, r#"{"y":1}"#),
            (r#"{"x":"a","y":"a"}"#, r#"{"a":1}"#, r#"{"x":1,"y":1}"#),
        ],
    );
}

#[test]
fn rule_10_of_two_outputs_of_one_name_the_last_counts_at_the_place_of_the_first() {
    check(
        "rule 10",
        &[
            (r#"{"x":"a","y":"b","x":"c"}"#, r#"{"a":1,"b":2,"c":3}"#, r#"{"x":3,"y":2}"#),
            (r#"{"x":"a","x":"no"}"#, r#"{"a":1}"#, "{}"),
            (r#"{"x":"a","\u0078":["b"]}"#, r#"{"a":1,"b":2}"#, r#"{"x":[2]}"#),
            (r#"{"x":7,"x":"a"}"#, r#"{"a":1}"#, r#"{"x":1}"#),
        ],
    );
}

#[test]
fn rule_3_segments_are_exact_and_blanks_count_only_outside() {
    check(
        "rule 3",
        &[
            (r#"{"x":"a"}"#, r#"{"A":1}"#, "{}"),
            (r#"{"x":"A"}"#, r#"{"A":1,"a":2}"#, r#"{"x":1}"#),
            (r#"{"x":"a:b"}"#, r#"{"a":{"b":1}}"#, r#"{"x":1}"#),
            (r#"{"x":"a:b:c:d"}"#, r#"{"a":{"b":{"c":{"d":1}}}}"#, r#"{"x":1}"#),
            (r#"{"x":"a:b"}"#, r#"{"a:b":1}"#, "{}"),
            (r#"{"x":"a:b"}"#, r#"{"a":{"B":1}}"#, "{}"),
            (r#"{"x":"  a\t\n"}"#, r#"{"a":1}"#, r#"{"x":1}"#),
            (r#"{"x":"\u00a0a\u2003"}"#, r#"{"a":1}"#, r#"{"x":1}"#),
            (r#"{"x":"a : b"}"#, r#"{"a":{"b":1}}"#, "{}"),
            (r#"{"x":"a : b"}"#, r#"{"a ":{" b":1}}"#, r#"{"x":1}"#),
            (r#"{"x":" a b "}"#, r#"{"a b":1}"#, r#"{"x":1}"#),
            (r#"{"x":"a"}"#, r#"{" a":1}"#, "{}"),
            (r#"{"x":":"}"#, r#"{"":{"":1}}"#, r#"{"x":1}"#),
            (r#"{"x":"a:"}"#, r#"{"a":{"":1}}"#, r#"{"x":1}"#),
            (r#"{"x":":a"}"#, r#"{"":{"a":1}}"#, r#"{"x":1}"#),
            (r#"{"x":"a::b"}"#, r#"{"a":{"":{"b":1}}}"#, r#"{"x":1}"#),
            (r#"{"x":"a.b"}"#, r#"{"a":{"b":1},"a.b":2}"#, r#"{"x":2}"#),
            (r#"{"x":"a:b"}"#, r#"{"a":[{"b":1}]}"#, "{}"),
            (r#"{"x":"a:0"}"#, r#"{"a":[1]}"#, "{}"),
            (r#"{"x":"a:b"}"#, r#"{"a":"b"}"#, "{}"),
            (r#"{"x":"a:b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"x":"a","y":"a:b"}"#, r#"{"a":{"b":1}}"#, r#"{"y":1}"#),
            (r#"{"x":"a","y":"a:b"}"#, r#"{"a":1}"#, r#"{"x":1}"#),
        ],
    );
}

#[test]
fn rule_4_an_index_takes_an_element_and_what_follows_it_counts_for_nothing() {
    check(
        "rule 4",
        &[
            (r#"{"x":"a[0]"}"#, r#"{"a":[1,2]}"#, r#"{"x":1}"#),
            (r#"{"x":"a[1]"}"#, r#"{"a":[1,2]}"#, r#"{"x":2}"#),
            (r#"{"x":"a[2]"}"#, r#"{"a":[1,2]}"#, "{}"),
            (r#"{"x":"a[0]"}"#, r#"{"a":[]}"#, "{}"),
            (r#"{"x":"a[0]:b"}"#, r#"{"a":[{"b":1}]}"#, r#"{"x":1}"#),
            (r#"{"x":"a[1]:b[0]:c"}"#, r#"{"a":[0,{"b":[{"c":1}]}]}"#, r#"{"x":1}"#),
            (r#"{"x":"a[0][1]"}"#, r#"{"a":[5,6]}"#, r#"{"x":5}"#),
            (r#"{"x":"a[0][1]"}"#, r#"{"a":[[5,6]]}"#, "{}"),
            (r#"{"x":"a[0]:[1]"}"#, r#"{"a":[[5,6]]}"#, r#"{"x":6}"#),
            (r#"{"x":"a[0]tail"}"#, r#"{"a":[5]}"#, r#"{"x":5}"#),
            (r#"{"x":"a[0] "}"#, r#"{"a":[5]}"#, r#"{"x":5}"#),
            (r#"{"x":"a[0][nonsense"}"#, r#"{"a":[5]}"#, r#"{"x":5}"#),
            (r#"{"x":"a[0]]:b"}"#, r#"{"a":[{"b":1}]}"#, r#"{"x":1}"#),
            (r#"{"x":"a]"}"#, r#"{"a]":1}"#, r#"{"x":1}"#),
            (r#"{"x":"a][0]"}"#, r#"{"a]":[1]}"#, r#"{"x":1}"#),
            (r#"{"x":"a[007]"}"#, r#"{"a":[0,1,2,3,4,5,6,7]}"#, r#"{"x":7}"#),
            (r#"{"x":"a[4294967295]"}"#, r#"{"a":[1]}"#, "{}"),
            (r#"{"x":"a[0]"}"#, r#"{"a":{"0":1}}"#, "{}"),
            (r#"{"x":"a[0]"}"#, r#"{"a":"text"}"#, "{}"),
            (r#"{"x":"a[0]"}"#, r#"{"a[0]":1}"#, "{}"),
            (r#"{"x":"a [0]"}"#, r#"{"a":[1],"a ":[2]}"#, r#"{"x":2}"#),
            (
                r#"{"x":"a[0]","y":"a[1]","z":"a[0]:b"}"#,
                r#"{"a":[{"b":1},2]}"#,
                r#"{"y":2,"z":1}"#,
            ),
        ],
    );
}

#[test]
fn rule_5_scalars_are_taken_and_nothing_else() {
    check(
        "rule 5",
        &[
            (r#"{"x":"a"}"#, r#"{"a":true}"#, r#"{"x":true}"#),
            (r#"{"x":"a"}"#, r#"{"a":false}"#, r#"{"x":false}"#),
            (r#"{"x":"a"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"x":"a"}"#, r#"{"a":{}}"#, "{}"),
            (r#"{"x":"a"}"#, r#"{"a":{"b":1}}"#, "{}"),
            (r#"{"x":"a"}"#, r#"{"a":[1]}"#, "{}"),
            (r#"{"x":"a"}"#, r#"{"a":""}"#, r#"{"x":""}"#),
            (r#"{"x":"a"}"#, r#"{"a":"b c"}"#, r#"{"x":"b c"}"#),
        ],
    );
}

#[test]
fn rule_5_integers_of_64_bits_stay_and_other_numbers_become_doubles() {
    for (number, expected) in [
        ("0", "0"),
        ("-0", "0"),
        ("-7", "-7"),
        ("9007199254740993", "9007199254740993"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775808", "9.223372036854776E+18"),
        ("-9223372036854775809", "-9.223372036854776E+18"),
        ("18446744073709551615", "1.8446744073709552E+19"),
        ("123456789012345678901234567890", "1.2345678901234568E+29"),
        ("1.0", "1"),
        ("-1.0", "-1"),
        ("0.0", "0"),
        ("-0.0", "-0"),
        ("-0e5", "-0"),
        ("2.5", "2.5"),
        ("2.50", "2.5"),
        ("1e2", "100"),
        ("1E+2", "100"),
        ("1e0", "1"),
        ("100e-2", "1"),
        ("0.1", "0.1"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("0.1234567890123456789", "0.12345678901234568"),
        ("3.141592653589793238462643383279", "3.141592653589793"),
        ("9007199254740993.0", "9007199254740992"),
        ("1e15", "1000000000000000"),
        ("1e16", "10000000000000000"),
        ("12345678901234567.0", "12345678901234568"),
        ("1e17", "1E+17"),
        ("1.5e17", "1.5E+17"),
        ("1e23", "1E+23"),
        ("1e100", "1E+100"),
        ("-1.25e300", "-1.25E+300"),
        ("1.7976931348623157e308", "1.7976931348623157E+308"),
        ("0.001", "0.001"),
        ("0.0001", "0.0001"),
        ("0.00012", "0.00012"),
        ("0.00001", "1E-05"),
        ("0.000015", "1.5E-05"),
        ("1e-7", "1E-07"),
        ("5e-324", "5E-324"),
        ("1e-400", "0"),
        ("-1e-400", "-0"),
    ] {
        let payload = format!("{{\"a\":{number}}}");
        assert_eq!(applied(r#"{"x":"a"}"#, &payload), Ok(format!("{{\"x\":{expected}}}")), "{number}");
        let payload = format!("{{\"a\":{number},\"unit\":\"\"}}");
        assert_eq!(
            applied(r#"{"x":"a+unit"}"#, &payload),
            Ok(format!("{{\"x\":\"{expected}\"}}")),
            "{number} as text"
        );
        assert_eq!(expected.parse::<f64>(), number.parse::<f64>(), "the same number");
    }
}

#[test]
fn rule_6_a_plus_adds_numbers_and_joins_texts() {
    check(
        "rule 6",
        &[
            (r#"{"x":"a+b"}"#, r#"{"a":1,"b":2}"#, r#"{"x":3}"#),
            (r#"{"x":"a+a"}"#, r#"{"a":4}"#, r#"{"x":8}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":1,"b":-2}"#, r#"{"x":-1}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":1,"b":0.5}"#, r#"{"x":1.5}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":0.5,"b":1}"#, r#"{"x":1.5}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":0.5,"b":0.5}"#, r#"{"x":1}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":0.1,"b":0.2}"#, r#"{"x":0.30000000000000004}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":9007199254740993,"b":0.0}"#, r#"{"x":9007199254740992}"#),
            (
                r#"{"x":"a+b"}"#,
                r#"{"a":9223372036854775807,"b":-1}"#,
                r#"{"x":9223372036854775806}"#,
            ),
            (
                r#"{"x":"a+b"}"#,
                r#"{"a":9223372036854775807,"b":1.0}"#,
                r#"{"x":9.223372036854776E+18}"#,
            ),
            (r#"{"x":"a+b"}"#, r#"{"a":"p","b":"q"}"#, r#"{"x":"pq"}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":"p","b":7}"#, r#"{"x":"p7"}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":7,"b":"p"}"#, r#"{"x":"7p"}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":"p","b":1.0}"#, r#"{"x":"p1"}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":2.50,"b":"p"}"#, r#"{"x":"2.5p"}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":"1","b":"2"}"#, r#"{"x":"12"}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":"","b":""}"#, r#"{"x":""}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":"\u00e9\"","b":"\n"}"#, r#"{"x":"é\"\n"}"#),
            (r#"{"x":"a+b"}"#, r#"{"a":true,"b":1}"#, "{}"),
            (r#"{"x":"a+b"}"#, r#"{"a":1,"b":false}"#, "{}"),
            (r#"{"x":"a+b"}"#, r#"{"a":true,"b":true}"#, "{}"),
            (r#"{"x":"a+b"}"#, r#"{"a":"p","b":true}"#, "{}"),
            (r#"{"x":"a+b"}"#, r#"{"a":"p"}"#, "{}"),
            (r#"{"x":"a+b"}"#, r#"{"b":"p"}"#, "{}"),
            (r#"{"x":"a+b"}"#, r#"{"a":"p","b":null}"#, "{}"),
            (r#"{"x":"a+b"}"#, r#"{"a":"p","b":["q"]}"#, "{}"),
            (r#"{"x":"a+b"}"#, r#"{"a":{"p":1},"b":1}"#, "{}"),
            (r#"{"x":"a+b"}"#, r#"{"a+b":1}"#, "{}"),
            (r#"{"x":"  a  +  b  "}"#, r#"{"a":1,"b":2}"#, r#"{"x":3}"#),
            (r#"{"x":"o:a + l[1]"}"#, r#"{"o":{"a":1},"l":[0,2]}"#, r#"{"x":3}"#),
            (r#"{"x":"[0]+[1]"}"#, "[1,2]", r#"{"x":3}"#),
            (r#"{"x":"a+b+c"}"#, r#"{"a":1,"b":2,"c":3}"#, "{}"),
            (r#"{"x":"a+b+c"}"#, r#"{"a":1,"b+c":2}"#, r#"{"x":3}"#),
            (r#"{"x":"a+b + c"}"#, r#"{"a":1,"b + c":2}"#, r#"{"x":3}"#),
            (r#"{"x":"a++b"}"#, r#"{"a":1,"+b":2}"#, r#"{"x":3}"#),
            (r#"{"x":"+a"}"#, r#"{"a":1}"#, "{}"),
            (r#"{"x":"+a"}"#, r#"{"+a":1}"#, r#"{"x":1}"#),
            (r#"{"x":" +a"}"#, r#"{"+a":1}"#, r#"{"x":1}"#),
            (r#"{"x":"+a+b"}"#, r#"{"+a":1,"b":2,"+a+b":9}"#, r#"{"x":9}"#),
            (r#"{"x":"+"}"#, r#"{"+":1}"#, r#"{"x":1}"#),
            (r#"{"x":":+a"}"#, r#"{"":{"":1},"a":2}"#, r#"{"x":3}"#),
            (r#"{"x":"a-b"}"#, r#"{"a":1,"b":2}"#, "{}"),
        ],
    );
}

#[test]
fn rule_7_a_missing_value_leaves_its_field_out_and_is_null_in_an_array() {
    check(
        "rule 7",
        &[
            (r#"{"x":"a"}"#, "{}", "{}"),
            (r#"{"x":["a"]}"#, "{}", r#"{"x":[null]}"#),
            (r#"{"x":[]}"#, r#"{"a":1}"#, r#"{"x":[]}"#),
            (r#"{"x":["a","b","c"]}"#, r#"{"b":2}"#, r#"{"x":[null,2,null]}"#),
            (r#"{"x":["a","a"]}"#, r#"{"a":"p"}"#, r#"{"x":["p","p"]}"#),
            (
                r#"{"x":["a+b","a:b"," l[0] "]}"#,
                r#"{"a":1,"b":2,"l":[true]}"#,
                r#"{"x":[3,null,true]}"#,
            ),
            (r#"{"x":["a"]}"#, r#"{"a":null}"#, r#"{"x":[null]}"#),
            (r#"{"x":["a"]}"#, r#"{"a":[1]}"#, r#"{"x":[null]}"#),
            (r#"{"x":["a"]}"#, "5", r#"{"x":[null]}"#),
            (r#"{"x":"no","y":["no"],"z":"a"}"#, r#"{"a":1}"#, r#"{"y":[null],"z":1}"#),
        ],
    );
}

#[test]
fn rule_8_a_root_that_is_not_an_object_has_elements_or_nothing() {
    check(
        "rule 8",
        &[
            (r#"{"x":"a"}"#, "[1]", "{}"),
            (r#"{"x":"[0]"}"#, "[1]", r#"{"x":1}"#),
            (r#"{"x":"[1]:a"}"#, r#"[0,{"a":1}]"#, r#"{"x":1}"#),
            (r#"{"x":"[0]:[0]"}"#, "[[1]]", r#"{"x":1}"#),
            (r#"{"x":"[0]"}"#, r#"{"":[1]}"#, "{}"),
            (r#"{"x":"[0]"}"#, "[]", "{}"),
            (r#"{"x":"[0]"}"#, "[null]", "{}"),
            (r#"{"x":"[0]","y":"a"}"#, r#"{"a":1}"#, r#"{"y":1}"#),
            (r#"{"x":"a"}"#, r#""a""#, "{}"),
            (r#"{"x":"a"}"#, "null", "{}"),
            (r#"{"x":"a"}"#, "true", "{}"),
            (r#"{"x":"[0]"}"#, " 12 ", "{}"),
            ("{}", "0", "{}"),
        ],
    );
}

#[test]
fn of_two_members_of_one_name_in_a_payload_the_last_counts_as_a_whole() {
    check(
        "duplicates",
        &[
            (r#"{"x":"a"}"#, r#"{"a":1,"a":2}"#, r#"{"x":2}"#),
            (r#"{"x":"a"}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":2}"#),
            (r#"{"x":"a"}"#, r#"{"a":1,"a":null}"#, "{}"),
            (r#"{"x":"a:b"}"#, r#"{"a":{"b":1},"a":{"c":2}}"#, "{}"),
            (r#"{"x":"a:b"}"#, r#"{"a":{"b":1},"a":2}"#, "{}"),
            (r#"{"x":"a:b"}"#, r#"{"a":2,"a":{"b":1,"b":3}}"#, r#"{"x":3}"#),
            (r#"{"x":"a:b","y":"a:c"}"#, r#"{"a":{"b":1},"a":{"c":2},"d":{"b":3}}"#, r#"{"y":2}"#),
            (r#"{"x":"a[1]:b"}"#, r#"{"a":[0,{"b":1}],"a":[0]}"#, "{}"),
            (r#"{"x":"a:b:c"}"#, r#"{"a":{"b":{"c":1}},"a":{"b":{}}}"#, "{}"),
        ],
    );
}

#[test]
fn texts_are_unicode_with_no_more_escapes_than_json_needs() {
    check(
        "texts",
        &[
            (r#"{"x":"größe:日本"}"#, r#"{"größe":{"日本":"✓"}}"#, r#"{"x":"✓"}"#),
            (r#"{"x":"é"}"#, r#"{"\u00e9":1}"#, r#"{"x":1}"#),
            (r#"{"x":"\u00e9"}"#, r#"{"é":1}"#, r#"{"x":1}"#),
            // Two spellings of one letter are two names.
            (r#"{"x":"é"}"#, "{\"e\u{301}\":1}", "{}"),
            (r#"{"x":"a"}"#, r#"{"a":"\u0041\/\u00e9"}"#, r#"{"x":"A/é"}"#),
            (r#"{"x":"a"}"#, r#"{"a":"\ud83d\ude00"}"#, r#"{"x":"😀"}"#),
            (
                r#"{"x":"a"}"#,
                r#"{"a":"\b\f\n\r\t\"\\\u0000\u001f\u007f"}"#,
                "{\"x\":\"\\b\\f\\n\\r\\t\\\"\\\\\\u0000\\u001f\u{7f}\"}",
            ),
            (r#"{"x":"a"}"#, r#"{"a":"<&>'"}"#, r#"{"x":"<&>'"}"#),
            (r#"{"x":"a"}"#, r#"{"a":"}],:{[\""}"#, r#"{"x":"}],:{[\""}"#),
            (r#"{"x":"\\"}"#, r#"{"\\":1}"#, r#"{"x":1}"#),
            (r#"{"x":"a"}"#, r#"{"k\\":{"z":"\\\""},"a":1}"#, r#"{"x":1}"#),
        ],
    );
}

#[test]
fn blanks_and_values_that_nobody_takes_change_nothing() {
    check(
        "the rest of the payload",
        &[
            (
                r#"{"x":"a:b[1]:c"}"#,
                " { \"a\" :\t{ \"b\" : [ 0 , { \"c\" :\n1 } ] } } \r\n",
                r#"{"x":1}"#,
            ),
            (
                r#"{"x":"z"}"#,
                r#"{"a":[{"z":1},[[]],{}],"b":{"z":[2]},"z":3,"c":"z"}"#,
                r#"{"x":3}"#,
            ),
            (r#"{"x":"z"}"#, r#"{"big":1e400,"bad":"\ud800","\ud800":0,"z":3}"#, r#"{"x":3}"#),
            (r#"{"x":"big+z"}"#, r#"{"big":1e400}"#, "{}"),
            (r#"{"x":"z+big"}"#, r#"{"big":1e400,"z":true}"#, "{}"),
        ],
    );
}

#[test]
fn a_mapping_gives_back_its_text_without_blanks_and_in_order() {
    for (text, expected) in [
        ("{}", "{}"),
        (
            " { \"z\" : \" a \" ,\n\"a\" : [ \"b\" , \"c + d\" ] , \"e\":[] }",
            r#"{"z":" a ","a":["b","c + d"],"e":[]}"#,
        ),
        (r#"{"x":"a","y":"b","x":"c"}"#, r#"{"x":"c","y":"b"}"#),
        (r#"{"\u0041":"\u00e9\/\u0000"}"#, r#"{"A":"é/\u0000"}"#),
    ] {
        let once = mapping(text);
        assert_eq!(once.as_text(), expected);
        assert_eq!(mapping(once.as_text()).as_text(), expected);
    }
}

/// A mapping, and how the sentence on each of its problems begins.
type Refused = (&'static str, &'static [&'static str]);

#[test]
fn rule_2_what_can_never_take_a_value_is_refused_with_its_reason() {
    let refused: &[Refused] = &[
        (r#"{"x":null}"#, &["x is null: an expression is a string or an array of strings"]),
        (r#"{"x":true}"#, &["x is a boolean"]),
        (r#"{"x":1.5}"#, &["x is a number"]),
        (r#"{"x":{"y":"a"}}"#, &["x is an object"]),
        (r#"{"x":["a",1]}"#, &["x[1] is a number: inside an array"]),
        (
            r#"{"x":[["a"],null,"b",{}]}"#,
            &["x[0] is an array", "x[1] is null", "x[3] is an object"],
        ),
        (r#"{"x":""}"#, &["x is empty"]),
        (r#"{"x":" \t\u00a0"}"#, &["x is empty"]),
        (r#"{"x":["a",""]}"#, &["x[1] is empty"]),
        (r#"{"x":"a+"}"#, &["x has nothing after its `+`"]),
        (r#"{"x":"a + "}"#, &["x has nothing after its `+`"]),
        (r#"{"x":"a[0"}"#, &[r#"x has a `[` without a `]` in "a[0""#]),
        (r#"{"x":"a:b[:c]"}"#, &[r#"x has a `[` without a `]` in "b[""#]),
        (r#"{"x":"a]0["}"#, &["x has a `[` without a `]`"]),
        (r#"{"x":"a[0+1]"}"#, &["x has a `[` without a `]`"]),
        (r#"{"x":"b+a[0"}"#, &["x has a `[` without a `]`"]),
        (r#"{"x":"a[]"}"#, &[r#"x has the index "", which is not a whole"#]),
        (r#"{"x":"a[-1]"}"#, &[r#"x has the index "-1""#]),
        (r#"{"x":"a[-0]"}"#, &[r#"x has the index "-0""#]),
        (r#"{"x":"+a[+1]"}"#, &[r#"x has the index "+1""#]),
        (r#"{"x":"a[1.0]"}"#, &[r#"x has the index "1.0""#]),
        (r#"{"x":"a[ 1 ]"}"#, &[r#"x has the index " 1 ""#]),
        (r#"{"x":"a[n]"}"#, &[r#"x has the index "n""#]),
        (r#"{"x":"a[[0]]"}"#, &[r#"x has the index "[0""#]),
        (r#"{"x":"a[4294967296]"}"#, &[r#"x has the index "4294967296""#]),
        (r#"{"x":"a[\u0661]"}"#, &["x has the index \"\u{661}\""]),
        (r#"{"x":"a","y":"","z":7}"#, &["y is empty", "z is a number"]),
        (r#"{"x":"a","x":""}"#, &["x is empty"]),
    ];
    for (text, expected) in refused {
        let problems = Mapping::parse(text).expect_err(text);
        assert_eq!(problems.len(), expected.len(), "{text}: {problems:?}");
        for (problem, beginning) in problems.iter().zip(*expected) {
            let sentence = format!("{} {}", problem.field.as_deref().unwrap_or("the mapping"), problem.why);
            assert!(sentence.starts_with(beginning), "{text}: {sentence}");
        }
    }
}

#[test]
fn what_is_not_a_json_object_is_refused_as_a_whole() {
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
    for text in [
        "",
        " ",
        "null",
        "7",
        "\"a\"",
        "[\"a\"]",
        "{",
        "{\"x\":\"a\",}",
        "{} {}",
        r#""\ud800""#,
        &deep,
    ] {
        let problems = Mapping::parse(text).expect_err(text);
        assert_eq!((problems.len(), &problems[0].field), (1, &None), "{text}");
        let why = &problems[0].why;
        assert!(why.starts_with("is not a JSON object of output fields and expressions: "), "{why}");
    }
}

#[test]
fn a_mapping_has_its_bounds() {
    let of_fields = |count: usize| {
        let fields: Vec<String> = (0..count).map(|number| format!("\"{number}\":\"a\"")).collect();
        format!("{{{}}}", fields.join(","))
    };
    assert!(Mapping::parse(&of_fields(FIELDS_MAX)).is_ok());
    let problems = Mapping::parse(&of_fields(FIELDS_MAX + 1)).unwrap_err();
    assert_eq!((problems.len(), problems[0].why.as_str()), (1, "has more than 1000 output fields"));
    let repeated = format!("{{{}}}", vec!["\"x\":\"a\""; FIELDS_MAX + 1].join(","));
    assert_eq!(mapping(&repeated).as_text(), r#"{"x":"a"}"#, "it has one field");

    let of_bytes = |bytes: usize| format!("{{\"x\":\"{}\"}}", "a".repeat(bytes - r#"{"x":""}"#.len()));
    assert!(Mapping::parse(&of_bytes(TEXT_BYTES_MAX)).is_ok());
    let problems = Mapping::parse(&of_bytes(TEXT_BYTES_MAX + 1)).unwrap_err();
    assert_eq!((problems.len(), problems[0].why.as_str()), (1, "is longer than 65536 bytes"));

    let all_wrong = format!("{{\"x\":[{}],\"y\":\"\"}}", vec!["1"; 1_000].join(","));
    assert_eq!(Mapping::parse(&all_wrong).unwrap_err().len(), PROBLEMS_MAX);

    let of_levels = |levels: usize| format!("{{\"x\":\"{}\"}}", vec!["a"; levels].join(":"));
    assert!(Mapping::parse(&of_levels(DEPTH_MAX)).is_ok());
    let problems = Mapping::parse(&of_levels(DEPTH_MAX + 1)).unwrap_err();
    assert_eq!(problems[0].why, "goes deeper than the 127 levels that a payload may have");
}

/// An array in an array, and so on.
fn nested(levels: usize, innermost: &str) -> String {
    "[".repeat(levels) + innermost + &"]".repeat(levels)
}

#[test]
fn a_payload_may_have_127_levels_wherever_it_has_them() {
    let path = vec!["[0]"; DEPTH_MAX].join(":");
    assert_eq!(
        applied(&format!("{{\"x\":\"{path}\"}}"), &nested(127, "7")),
        Ok(r#"{"x":7}"#.to_owned())
    );
    let path = vec!["a"; DEPTH_MAX].join(":");
    let objects = "{\"a\":".repeat(127) + "7" + &"}".repeat(127);
    assert_eq!(applied(&format!("{{\"x\":\"{path}\"}}"), &objects), Ok(r#"{"x":7}"#.to_owned()));

    for text in ["{}", r#"{"x":"b"}"#, r#"{"x":"[0]"}"#, r#"{"x":"[0]:[0]:[0]"}"#] {
        assert!(applied(text, &nested(127, "")).is_ok(), "{text}");
        assert_eq!(applied(text, &nested(128, "")), Err(Failure::TooDeep), "{text}");
        assert_eq!(applied(text, &nested(100_000, "")), Err(Failure::TooDeep), "{text}");
    }
    let beside = |levels| format!("{{\"a\":{},\"b\":1}}", nested(levels, ""));
    assert_eq!(applied(r#"{"x":"b"}"#, &beside(126)), Ok(r#"{"x":1}"#.to_owned()));
    assert_eq!(applied(r#"{"x":"b"}"#, &beside(127)), Err(Failure::TooDeep));
    // Whether levels are walked or skipped, they are counted as the reader of values counts them.
    assert!(serde_json::from_str::<Value>(&nested(127, "")).is_ok() && serde_json::from_str::<Value>(&nested(128, "")).is_err());
}

#[test]
fn rule_9_a_value_that_is_there_and_cannot_be_taken_is_a_failure_that_names_its_field() {
    let long = |digits: usize| format!("{{\"a\":0.{}}}", "1".repeat(digits));
    for (text, payload, why) in [
        (r#"{"x":"a"}"#, r#"{"a":1e400}"#, Unfillable::Number),
        (r#"{"x":"a"}"#, r#"{"a":-1e400}"#, Unfillable::Number),
        (r#"{"y":"b","x":["b","a"]}"#, r#"{"a":1e309,"b":1}"#, Unfillable::Number),
        (r#"{"x":"a+b"}"#, r#"{"a":"p","b":1e309}"#, Unfillable::Number),
        (r#"{"x":"a"}"#, &long(NUMBER_BYTES_MAX), Unfillable::Number),
        (r#"{"x":"a"}"#, r#"{"a":"\ud800"}"#, Unfillable::Text),
        (r#"{"x":"a"}"#, r#"{"a":"\udc00\ud800"}"#, Unfillable::Text),
        (r#"{"x":"a+a"}"#, r#"{"a":9223372036854775807}"#, Unfillable::IntegerSum),
        (r#"{"x":"a+b"}"#, r#"{"a":-9223372036854775808,"b":-1}"#, Unfillable::IntegerSum),
        (r#"{"x":"a+a"}"#, r#"{"a":1e308}"#, Unfillable::DoubleSum),
        (r#"{"x":"a+a"}"#, r#"{"a":-1.7976931348623157e308}"#, Unfillable::DoubleSum),
        (r#"{"x":"a+a","y":"b"}"#, r#"{"a":1e308,"b":1e400}"#, Unfillable::DoubleSum),
    ] {
        let field = "x".to_owned();
        assert_eq!(applied(text, payload), Err(Failure::Field { field, why }), "{text} on {payload}");
    }
    assert!(applied(r#"{"x":"a"}"#, &long(NUMBER_BYTES_MAX - 2)).is_ok());
}

#[test]
fn what_is_not_json_is_a_failure_whatever_the_mapping_takes() {
    for payload in [
        &b""[..],
        b" ",
        b"{",
        b"{\"a\":01}",
        b"{} {}",
        b"[1,]",
        b"nul",
        b"\"\xff\"",
        b"{\"a\":\"\n\"}",
        b"\xef\xbb\xbf{}",
    ] {
        for text in ["{}", r#"{"x":"a"}"#] {
            let failure = mapping(text).apply(payload);
            assert!(matches!(failure, Err(Failure::NotJson(_))), "{payload:?}: {failure:?}");
        }
    }
}

#[test]
fn an_output_cannot_grow_without_bound() {
    let payload = format!("{{\"a\":\"{}\"}}", "b".repeat(1 << 20));
    let of = |count: usize| format!("{{\"first\":\"a\",\"x\":[{}]}}", vec!["\"a\""; count].join(","));
    assert!(applied(&of(15), &payload).is_ok());
    let failure = applied(&of(10_000), &payload).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "cannot fill \"x\": the output would exceed the payload by more than 16777216 bytes"
    );
}

#[test]
fn failures_are_told_in_words() {
    let why = |text: &str, payload: &str| applied(text, payload).unwrap_err().to_string();
    assert_eq!(
        why("{}", "["),
        "cannot read the payload as JSON: EOF while parsing a list at line 1 column 1"
    );
    assert_eq!(why("{}", &nested(128, "")), "the payload is nested deeper than 127 levels");
    for (payload, reason) in [
        (r#"{"a":1e400}"#, "a number in the payload is too large for 64 bits, or too long"),
        (r#"{"a":"\ud800"}"#, "a text in the payload has half of a surrogate pair"),
        (r#"{"a":9223372036854775807}"#, "the sum of two integers is too large for 64 bits"),
        (r#"{"a":1e308}"#, "the sum of two numbers is too large for 64 bits"),
    ] {
        assert_eq!(why(r#"{"to\ntal":"a+a"}"#, payload), format!("cannot fill \"to\\ntal\": {reason}"));
    }
}
