use super::*;

/// What is wrong with a text, as `line:column: message`.
#[track_caller]
fn wrong(text: &str) -> String {
    let finding = parse(text).unwrap_err();
    let (line, column) = place(text, finding.offset);
    format!("{line}:{column}: {}", finding.message)
}

#[test]
fn every_value_and_member_knows_its_place() {
    let text = "{ \"a\": [1.50, \"x\\n\",null ],\n\t\"é\" : {\"t\":true}\n, \"f\":false}";
    let node = parse(text).unwrap();
    let of = |node: &Node| text.get(node.offset..node.offset + node.len).unwrap().to_owned();
    assert_eq!(of(&node), text);
    let list = node.get("a").unwrap();
    let elements: Vec<String> = list.as_list().iter().map(of).collect();
    assert_eq!(elements, ["1.50", "\"x\\n\"", "null"]);
    assert_eq!(list.as_list()[0].value, Json::Number("1.50".into()));
    assert_eq!(list.as_list()[1].as_text(), Some("x\n"));
    assert_eq!(of(node.get("é").unwrap()), "{\"t\":true}");
    let name = |it: &Member| text.get(it.offset..it.offset + it.name.len() + 2).unwrap();
    let names: Vec<&str> = node.as_object().iter().map(name).collect();
    assert_eq!(names, ["\"a\"", "\"é\"", "\"f\""]);
}

#[test]
fn numbers_keep_their_text() {
    for number in ["0", "-0", "1e999", "0.10", "-12.50E+3", "123456789012345678901234567890"] {
        assert_eq!(parse(number).unwrap().value, Json::Number(number.into()));
    }
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    for (text, expect) in [
        ("", "1:1: not JSON: it ends where a value is expected"),
        (" \n ", "2:2: not JSON: it ends where a value is expected"),
        ("{\"a\":1}\n x", "2:2: not JSON: there is more after the value"),
        ("{\"a\":1}{}", "1:8: not JSON: there is more after the value"),
        ("[1,]", "1:4: not JSON: the comma has nothing behind it"),
        ("{\"a\":1,}", "1:8: not JSON: the comma has nothing behind it"),
        ("{\"a\" 1}", "1:6: not JSON: `:` is expected here"),
        ("{'a':1}", "1:2: not JSON: a member's name in double quotes is expected here"),
        ("{a:1}", "1:2: not JSON: a member's name in double quotes is expected here"),
        ("[1 2]", "1:4: not JSON: `,` or `]` is expected here"),
        ("{\"a\":1 \"b\":2}", "1:8: not JSON: `,` or `}` is expected here"),
        ("{\"é\":\"a", "1:8: not JSON: the text does not end"),
        ("[", "1:2: not JSON: the list does not end"),
        ("{", "1:2: not JSON: the object does not end"),
        ("[01]", "1:3: not JSON: the number is malformed"),
        ("[1.]", "1:4: not JSON: the number is malformed"),
        ("[.5]", "1:2: not JSON: a value is expected here"),
        ("[+1]", "1:2: not JSON: a value is expected here"),
        ("NaN", "1:1: not JSON: a value is expected here"),
        ("Infinity", "1:1: not JSON: a value is expected here"),
        ("True", "1:1: not JSON: a value is expected here"),
        ("// a", "1:1: not JSON: a value is expected here"),
        ("\"\\ud800\"", "1:8: not JSON: the escape means no character"),
        ("\"\\x\"", "1:3: not JSON: the escape means no character"),
        ("\"a\nb\"", "1:3: not JSON: a control character in a text is not escaped"),
    ] {
        assert_eq!(wrong(text), expect, "{text}");
    }
    for text in ["-Infinity", "-NaN", "nul", "tru", "\"\\udc00\"", "\"\\ud800\\u0041\"", "-"] {
        assert!(wrong(text).contains("not JSON: "), "{text}");
    }
}

#[test]
fn a_byte_order_mark_is_told() {
    let finding = parse("\u{feff}{}").unwrap_err();
    assert_eq!(finding.hint.as_deref(), Some("remove the byte order mark at the start"));
}

#[test]
fn a_member_twice_is_refused_with_both_places() {
    let twice = |name: &str, place: &str| {
        format!("the member `{name}` is here twice; the first is at {place}")
    };
    for (text, at, name, place) in [
        ("{\"a\":1,\n \"a\":1}", "2:2", "a", "line 1, column 2"),
        ("{\"a\":1,\"\\u0061\":2}", "1:8", "a", "line 1, column 2"),
        ("[{\"x\":{\"é\":0,\"b\":1,\"b\":{}}}]", "1:20", "b", "line 1, column 14"),
    ] {
        assert_eq!(wrong(text), format!("{at}: {}", twice(name, place)));
    }
    for text in ["{\"a\":{\"a\":1}}", "{\"a\":1,\"A\":2}", "[{\"a\":1},{\"a\":1}]", "{\"\":1}"] {
        assert!(parse(text).is_ok(), "{text}");
    }
}

#[test]
fn a_member_twice_among_many_is_found() {
    for count in [COMPARED_MAX - 1, COMPARED_MAX, COMPARED_MAX + 1, 5000] {
        let members: Vec<String> = (0..count).map(|index| format!("\"m{index}\":0")).collect();
        let text = |more: &str| format!("{{{}{more}}}", members.join(","));
        assert!(parse(&text("")).is_ok());
        assert!(wrong(&text(",\"m3\":1")).contains("the member `m3` is here twice"));
    }
}

#[test]
fn depth_ends_at_its_limit() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| {
            let inner = if open == "[" { "" } else { "0" };
            format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
        };
        assert!(parse(&nested(DEPTH_MAX)).is_ok());
        assert!(wrong(&nested(DEPTH_MAX + 1)).contains("nest deeper than 64"));
        assert!(wrong(&open.repeat(1_000_000)).contains("nest deeper than 64"));
    }
}

#[test]
fn a_text_that_is_too_long_is_not_read() {
    assert!(parse_up_to("[ ]", 3).is_ok());
    let finding = parse_up_to("[  ]", 3).unwrap_err();
    assert_eq!(finding.message, "4 bytes are more than the 3 that are read");
}
