use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::event::query::{Query, values_at};

/// The lines of a block that match, found with the prefilter and the projection.
fn found(query: &Query, block: &str) -> Vec<String> {
    let mut lines = Vec::new();
    query.prefilter().candidates(block.as_bytes(), &mut lines);
    assert!(lines.is_sorted_by(|a, b| a.end < b.start), "{lines:?}");
    let projection = query.projection(&["eventTime"]);
    let lines = lines.into_iter().filter_map(|line| block.get(line)).filter(|line| {
        projection.parse(line.as_bytes()).is_some_and(|event| query.matches(&event))
    });
    lines.map(str::to_owned).collect()
}

/// The lines of a block that match, found the long way.
fn matching(query: &Query, block: &str) -> Vec<String> {
    let lines = block.lines().filter(|line| {
        serde_json::from_str::<Value>(line).is_ok_and(|event| query.matches(&event))
    });
    lines.map(str::to_owned).collect()
}

fn block_of(lines: &[impl AsRef<str>]) -> String {
    lines.iter().flat_map(|line| [line.as_ref(), "\n"]).collect()
}

#[track_caller]
fn check(query: &str, lines: &[&str], expected: &[usize]) {
    let parsed = Query::parse(query).unwrap();
    let block = block_of(lines);
    let expected: Vec<_> = expected.iter().map(|index| lines[*index].to_owned()).collect();
    assert_eq!(matching(&parsed, &block), expected, "{query}: the test is wrong");
    assert_eq!(found(&parsed, &block), expected, "{query}\n{:?}", parsed.prefilter());
}

#[test]
fn a_text_is_found_however_json_writes_it() {
    let lines = [
        r#"{"a":"Deny"}"#,
        r#"{"a":"DENY it"}"#,
        r#"{"a":"\u0044eny"}"#,
        r#"{"\u0061":"deny"}"#,
        r#"{"a":"permit"}"#,
        r#"{"b":"deny"}"#,
        r#"{"a":["x",["deny"]]}"#,
    ];
    check("a:deny", &lines, &[0, 1, 2, 3, 6]);
    check("deny", &lines, &[0, 1, 2, 3, 5, 6]);
    check("a.keyword:Deny", &lines, &[0, 2]);
    check("a:D?ny", &lines, &[0, 1, 2, 3, 6]);
    check("NOT a:deny", &lines, &[4, 5]);
    check("a:deny OR b:deny", &lines, &[0, 1, 2, 3, 5, 6]);
    check("a:permit OR a:*", &lines, &[0, 1, 2, 3, 4, 6]);
    check("+a:deny x", &lines, &[0, 1, 2, 3, 6]);
    check("a:deny AND a:it", &lines, &[1]);
}

#[test]
fn words_side_by_side_are_found_whatever_is_between() {
    let lines = [
        r#"{"a":"192.0.2.10"}"#,
        r#"{"a":"192\n0\t2\"10"}"#,
        r#"{"a":"192\/0\\2-\u00e9 10"}"#,
        r#"{"a":"192 0 – 2 \u2028 10"}"#,
        r#"{"a":"192.0.10.2"}"#,
        r#"{"a":"192.0"}"#,
        r#"{"a":"2.10"}"#,
        r#"{"a":"x192.0.2.10"}"#,
        r#"{"a":192.0,"b":2.10}"#,
    ];
    check("a:192.0.2.10", &lines, &[0, 1, 3]);
    check("a:\"192 0\"", &lines, &[0, 1, 2, 3, 4, 5, 8]);
    check("a:2.10", &lines, &[0, 1, 3, 6, 7]);
    check("2.1", &lines, &[8]);
    check("a:\"Two WORDS\"", &[r#"{"a":"tWO, words"}"#, r#"{"a":"two other words"}"#], &[0]);
}

#[test]
fn a_text_without_regard_to_case_is_found_at_its_first_place() {
    for (needle, text, expected) in [
        ("deny", "Permit DEN DENY deny", Some(11)),
        ("deny", "permit", None),
        ("d", "permiD", Some(5)),
        ("a1234567b", "1234567 x1234567b A1234567B", Some(18)),
        ("12345678", "x12345678", Some(1)),
        ("x", "", None),
        ("yyyy", "yyy", None),
    ] {
        let finder = Finder::of([Needle::any_case(needle)].iter()).unwrap();
        assert_eq!(finder.find(text.as_bytes()), expected, "{needle} in {text}");
    }
}

#[test]
fn letters_that_are_equal_without_regard_to_case_are_found() {
    let lines =
        [r#"{"a":"kiss"}"#, "{\"a\":\"\u{212a}iss\"}", "{\"a\":\"ki\u{17f}s\"}", r#"{"a":"hiss"}"#];
    check("a:kiss", &lines, &[0, 1]);
    check("a:k*ss", &lines, &[0, 1, 2]);
    check("a.keyword:kiss", &lines, &[0]);
    let lines = ["{\"a\":\"\u{130}x\"}", r#"{"a":"ix"}"#];
    check("a:i*x", &lines, &[0, 1]);
}

#[test]
fn numbers_are_found_by_their_text_not_by_their_digits() {
    let lines = [
        r#"{"a":100}"#,
        r#"{"a":1e2}"#,
        r#"{"a": 1E2}"#,
        r#"{"a" :1e+2}"#,
        r#"{"a":[3,1e2]}"#,
        r#"{"a":[1e2]}"#,
        r#"{"a":100.0}"#,
        r#"{"a":"1e2"}"#,
        r#"{"a":7}"#,
    ];
    check("a:100", &lines, &[0, 1, 2, 3, 4, 5, 6]);
    check("100", &lines, &[0, 1, 2, 3, 4, 5, 6]);
    check("a.keyword:100.0", &lines, &[1, 2, 3, 4, 5, 6]);
    check("a.keyword:10*", &lines, &[0, 1, 2, 3, 4, 5, 6]);
    check("a.numeric:100", &lines, &[0, 1, 2, 3, 4, 5, 6, 7]);
    check("a:1e2", &lines, &[7]);
    check("a:1e2", &[r#"{"a":[3,1e2]}"#, r#"{"a":[1,2,3,"1e2"]}"#], &[1]);
    check("a:100", &[r#"{"a":[-3,-1e2,1.5,4]}"#, r#"{"a":[1,2,3,4]}"#], &[0]);
    let large = [r#"{"a":100000000000000000000}"#, r#"{"a":-10000000000000000000}"#];
    check("a:20", &large, &[0]);
    check("a.keyword:\"-1e+19\"", &large, &[1]);
    check("a:100000000000000000000", &large, &[]);
}

#[test]
fn no_letter_outside_of_ascii_but_these_is_equal_to_one_of_it() {
    let wild = regex::RegexBuilder::new("[a-z]").case_insensitive(true).build().unwrap();
    for letter in '\u{80}'..=char::MAX {
        let text = letter.to_string();
        let lowered = text.to_lowercase();
        let in_words = lowered.chars().any(|c| c.is_ascii());
        let folds = wild.is_match(&text) || wild.is_match(&lowered);
        let known = FOLDED.iter().any(|(_, utf8)| *utf8 == text.as_bytes());
        assert_eq!(in_words || folds, known, "{letter:?}");
    }
}

#[test]
fn usual_queries_have_a_filter_and_doubtful_ones_none() {
    let filtered = |query: &str| Query::parse(query).unwrap().prefilter().primary.is_some();
    for query in [
        "deny",
        "a:deny",
        "a:\"two words\"",
        "a.keyword:\"x/y\"",
        "a:ab*",
        "a:deny AND NOT b:c",
        "a:deny OR b:permit",
        "a:(deny OR permit)",
        "_exists_:a",
        "a:>3",
        "a:/x/",
    ] {
        assert!(filtered(query), "{query}");
    }
    for query in
        ["", "*", "NOT a:deny", "-a:deny", "é", "\"--\"", "\"\"", "/x/", "deny OR *", "deny OR /x/"]
    {
        assert!(!filtered(query), "{query}");
    }
}

#[test]
fn the_rarest_of_several_texts_is_looked_for() {
    let query = Query::parse(r#"responseData.isEnforced:"false" AND responseData.decision:"Deny""#);
    let primary = query.unwrap().prefilter().primary.unwrap();
    assert_eq!(primary.find(b"false, Deny"), Some(7));
}

#[test]
fn a_projection_has_what_it_was_asked_for_and_nothing_else() {
    let line = br#"{"a":{"b":1,"c":{"d":[2,{"e":3}]}},"a.b":4,"f":[{"g":5,"h":6}],"i":7}"#;
    for (query, expected) in [
        ("a.b:x", r#"{"a":{"b":1},"a.b":4}"#),
        ("a.b:x OR a:x", r#"{"a":{"b":1,"c":{"d":[2,{"e":3}]}},"a.b":4}"#),
        ("a.c.d.e:x", r#"{"a":{"c":{"d":[null,{"e":3}]}}}"#),
        ("f.g:x AND i:x", r#"{"f":[{"g":5}],"i":7}"#),
        ("f.g.z:x", r#"{"f":[{"g":null}]}"#),
        ("z:x", "{}"),
    ] {
        let part = Query::parse(query).unwrap().projection(&[]).parse(line).unwrap();
        assert_eq!(part.to_string(), expected, "{query}");
    }
    let whole = Query::parse("x").unwrap().projection(&["a"]).parse(line).unwrap();
    assert_eq!(whole, serde_json::from_slice::<Value>(line).unwrap());
}

#[test]
fn a_line_that_is_no_json_has_no_projection() {
    let projection = Query::parse("a:x").unwrap().projection(&[]);
    let deep = format!("{{\"b\":{}{}}}", "[".repeat(200), "]".repeat(200));
    for line in [
        r#"{"b":"\ud800"}"#,
        r#"{"b":1e999}"#,
        deep.as_str(),
        "{\"b\":\"\u{1}\"}",
        r#"{"b":1"#,
        r#"{"b":1} x"#,
        r#"{"b":01}"#,
        "",
    ] {
        assert!(serde_json::from_str::<Value>(line).is_err(), "{line}");
        assert_eq!(projection.parse(line.as_bytes()), None, "{line}");
    }
    assert_eq!(projection.parse(b"{\"b\":\"\xff\"}"), None);
}

#[test]
fn values_are_found_as_queries_find_them() {
    let event: Value =
        serde_json::from_str(r#"{"a":{"b":[1,[2,{"c":3}]]},"a.b":4,"d":[{"e":5},{"e":6}]}"#)
            .unwrap();
    let texts = |path: &str| {
        values_at(&event, path).into_iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(texts("a.b"), ["1", "2", r#"{"c":3}"#, "4"]);
    assert_eq!(texts("a.b.c"), ["3"]);
    assert_eq!(texts("d.e"), ["5", "6"]);
    assert_eq!(texts("z"), Vec::<String>::new());
}

/// Texts that meet: words in several cases and scripts, numbers, what JSON escapes.
fn texts() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "deny",
        "Deny",
        "DENY",
        "kiss",
        "\u{212a}iss",
        "ki\u{17f}s",
        "\u{130}x",
        "i\u{307}x",
        "ix",
        "stra\u{df}e",
        "STRA\u{1e9e}E",
        "100",
        "1e2",
        "1",
        "0",
        "true",
        "false",
        "a_b",
        "e",
        "null",
    ]);
    let marks = prop::sample::select(vec![
        "", " ", "-", ".", ":", "/", "\\", "\"", "\t", "\u{2028}", "é", "*", "@",
    ]);
    prop::collection::vec((words, marks), 0..4)
        .prop_map(|parts| parts.into_iter().flat_map(|(word, mark)| [word, mark]).collect())
}

/// A text as some writer of JSON has it.
fn written(text: &str, escapes: u64) -> String {
    let mut line = String::from("\"");
    for (index, c) in text.chars().enumerate() {
        let escaped = escapes >> (index % 64) & 1 == 1;
        match c {
            '"' | '\\' => line.extend(['\\', c]),
            '/' if escaped => line.push_str("\\/"),
            '\t' => line.push_str("\\t"),
            _ if escaped => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    line.extend(["\\u", &format!("{unit:04X}")]);
                }
            }
            _ => line.push(c),
        }
    }
    line.push('"');
    line
}

fn values() -> impl Strategy<Value = String> {
    let numbers = prop::sample::select(vec![
        "100",
        "1e2",
        "100.0",
        "1.0E+2",
        "-0",
        "0.1e1",
        "1",
        "-1",
        "100000000000000000000",
        "9007199254740993",
        "18446744073709551616",
        "1e400",
        "0.29999999999999999",
        "7",
    ]);
    let leaf = prop_oneof![
        (texts(), prop_oneof![3 => Just(0), 1 => any::<u64>()]).prop_map(|(t, e)| written(&t, e)),
        numbers.prop_map(str::to_owned),
        prop::sample::select(vec!["true", "false", "null", "{}", "[]"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let blank = prop::sample::select(vec!["", "", "", " ", "\t"]);
        let member = (keys(), blank.clone(), inner.clone());
        let item = (blank, inner);
        prop_oneof![
            prop::collection::vec(item, 0..3).prop_map(|items| {
                let items: Vec<_> = items.into_iter().map(|(b, v)| format!("{b}{v}")).collect();
                format!("[{}]", items.join(","))
            }),
            prop::collection::vec(member, 0..3).prop_map(|members| object(&members)),
        ]
    })
}

fn keys() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "a.b", "c", "", "K", "deny", "\\u0061"])
}

fn object(members: &[(&str, &str, String)]) -> String {
    let members: Vec<_> = members.iter().map(|(k, b, v)| format!("\"{k}\"{b}:{b}{v}{b}")).collect();
    format!("{{{}}}", members.join(","))
}

fn lines() -> impl Strategy<Value = String> {
    let member = (keys(), prop::sample::select(vec!["", "", " "]), values());
    prop_oneof![
        20 => prop::collection::vec(member, 0..4).prop_map(|members| object(&members)),
        1 => Just("no JSON: deny 100".to_owned()),
        1 => Just(String::new()),
    ]
}

fn queries() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "",
        "a:",
        "b:",
        "a.b:",
        "a.a.b:",
        "c:",
        "K:",
        "a.keyword:",
        "b.keyword:",
        "a.numeric:",
        "a.b.keyword:",
    ]);
    let bare = prop::sample::select(vec![
        "deny",
        "Deny",
        "kiss",
        "100",
        "1e2",
        "100.0",
        "1",
        "true",
        "false",
        "e",
        "stra\u{df}e",
        "ix",
        "d?ny",
        "k*",
        "*ss",
        "i*",
        "*",
        "1*",
        "*00",
        "10?",
        "?.0",
        "a_*",
        "*e*",
        "/de.*/",
        "/1.*/",
        "[1 TO 100]",
        "{a TO z}",
        "null",
        "100\\/deny",
        "*\\\"*",
        "-1",
    ])
    .prop_map(str::to_owned);
    let quoted =
        texts().prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
    let leaf =
        (field, prop_oneof![bare, quoted]).prop_map(|(field, test)| format!("{field}{test}"));
    leaf.prop_recursive(3, 12, 3, |inner| {
        let sign = prop::sample::select(vec!["", "", "NOT ", "+", "-"]);
        let joint = prop::sample::select(vec![" AND ", " OR ", " "]);
        prop::collection::vec((sign, inner, joint), 1..4).prop_map(|parts| {
            let last = parts.len() - 1;
            let parts = parts.into_iter().enumerate().map(|(index, (sign, clause, joint))| {
                format!("{sign}{clause}{}", if index == last { "" } else { joint })
            });
            format!("({})", parts.collect::<String>())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_what_matches(
        query in queries(),
        lines in prop::collection::vec(lines(), 1..8),
    ) {
        let parsed = match Query::parse(&query) {
            Ok(parsed) => parsed,
            Err(error) => return Err(TestCaseError::fail(format!("{query}: {error}"))),
        };
        let block = block_of(&lines);
        prop_assert_eq!(found(&parsed, &block), matching(&parsed, &block));
    }
}
