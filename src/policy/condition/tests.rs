use proptest::prelude::*;

use super::date::Moment;
use super::number::Decimal;
use super::*;
use crate::clock::UnixSeconds;
use crate::policy::context::TestContext;
use crate::policy::document::Text;
use crate::policy::finding::Severity;

fn text(text: &str, offset: usize) -> Text {
    Text { text: text.into(), offset, len: text.len() }
}

fn condition(operator: &str, key: &str, values: &[&str]) -> Condition {
    let values = values.iter().enumerate().map(|(index, value)| text(value, 100 + index));
    Condition { operator: text(operator, 10), key: text(key, 50), values: values.collect() }
}

fn compile(operator: &str, values: &[&str]) -> CompiledCondition {
    let condition = condition(operator, "k", values);
    CompiledCondition::compile(&condition, Version::V2012)
        .unwrap_or_else(|findings| panic!("{operator} {values:?}: {findings:?}"))
}

/// What a request has for the key `k`.
#[derive(Clone, Copy, Debug)]
enum Has<'a> {
    Nothing,
    One(&'a str),
    Many(&'a [&'a str]),
    Typed(Value<'static>),
}

fn request(has: Has<'_>) -> TestContext {
    let context = TestContext::default().with_text("aws:username", "jo").with_many("tags", &["jo"]);
    match has {
        Has::Nothing => context,
        Has::One(text) => context.with_text("k", text),
        Has::Many(texts) => context.with_many("k", texts),
        Has::Typed(value) => context.with("k", Values::One(value)),
    }
}

/// Whether a condition holds in an Allow and in a Deny.
#[track_caller]
fn check_both(operator: &str, values: &[&str], has: Has<'_>, allow: bool, deny: bool) {
    let compiled = compile(operator, values);
    let context = request(has);
    let got = [Effect::Allow, Effect::Deny].map(|effect| compiled.holds(&context, effect));
    assert_eq!(got, [allow, deny], "{operator} {values:?} on {has:?}");
}

#[track_caller]
fn check(operator: &str, values: &[&str], has: Has<'_>, expected: bool) {
    check_both(operator, values, has, expected, expected);
}

/// An operator, a value of a document, a request's value that matches and one that does not, and
/// one that can't be read, where there is one.
struct Case {
    operator: &'static str,
    value: &'static str,
    same: &'static str,
    other: &'static str,
    unreadable: Option<&'static str>,
}

const fn case(
    operator: &'static str,
    value: &'static str,
    same: &'static str,
    other: &'static str,
    unreadable: Option<&'static str>,
) -> Case {
    Case { operator, value, same, other, unreadable }
}

const POSITIVE: [Case; 18] = [
    case("StringEquals", "a", "a", "A", None),
    case("StringEqualsIgnoreCase", "ä", "Ä", "a", None),
    case("StringLike", "a*c?", "abcd", "abc", None),
    case("NumericEquals", "10", "10.0", "10.1", Some("ten")),
    case("NumericLessThan", "10", "9.99", "10", Some("1e1")),
    case("NumericLessThanEquals", "10", "10", "10.01", Some("")),
    case("NumericGreaterThan", "-1", "0", "-1.0", Some("0x1")),
    case("NumericGreaterThanEquals", "-1", "-1.0", "-1.1", Some("1 ")),
    case("DateEquals", "2024-01-01", "1704067200", "2024-01-02", Some("soon")),
    case("DateLessThan", "2024", "2023-12-31T23:59:59Z", "2024-01-01T00:00Z", Some("")),
    case("DateLessThanEquals", "2024", "2024-01-01T01:00+01:00", "2024-01-01T00:00:01Z", Some("x")),
    case("DateGreaterThan", "2024", "2024-01-01T00:00:00.000000001Z", "2024", Some("-1")),
    case("DateGreaterThanEquals", "2024", "2024-01", "1704067199", Some("2024-13")),
    case("Bool", "true", "TRUE", "false", Some("yes")),
    case("BinaryEquals", "aGk=", "aGk=", "aGkh", None),
    case("IpAddress", "10.0.0.7/8", "10.255.0.1", "11.0.0.1", Some("10.0.0.0/8")),
    case("ArnEquals", "arn:aws:s3:*::b*", "arn:aws:s3:eu::b/x", "arn:aws:s3:eu:1:b", Some("b")),
    case("ArnLike", "arn:aws:s3:::b", "arn:aws:s3:::b", "arn:aws:s3:::B", Some("*")),
];

/// The negated form of each operator that has one.
const NEGATED: [(&str, &str); 8] = [
    ("StringEquals", "StringNotEquals"),
    ("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
    ("StringLike", "StringNotLike"),
    ("NumericEquals", "NumericNotEquals"),
    ("DateEquals", "DateNotEquals"),
    ("IpAddress", "NotIpAddress"),
    ("ArnEquals", "ArnNotEquals"),
    ("ArnLike", "ArnNotLike"),
];

fn negated(operator: &str) -> Option<&'static str> {
    NEGATED.iter().find(|(positive, _)| *positive == operator).map(|(_, negated)| *negated)
}

#[test]
fn a_positive_operator_holds_for_a_value_that_matches() {
    for Case { operator, value, same, other, unreadable } in &POSITIVE {
        for (has, plain, if_exists) in [
            (Has::One(same), true, true),
            (Has::One(other), false, false),
            (Has::Nothing, false, true),
            (Has::Many(&[]), false, true),
            (Has::Many(&[same]), false, false),
            (Has::Many(&[same, same]), false, false),
        ] {
            check(operator, &[value], has, plain);
            check(&format!("{operator}IfExists"), &[value], has, if_exists);
        }
        if let Some(unreadable) = unreadable {
            check(operator, &[value], Has::One(unreadable), false);
            check(&format!("{operator}IfExists"), &[value], Has::One(unreadable), false);
        }
    }
}

#[test]
fn a_negated_operator_holds_for_a_value_that_does_not_match() {
    for Case { operator, value, same, other, unreadable } in &POSITIVE {
        let Some(operator) = negated(operator) else { continue };
        for operator in [operator.to_owned(), format!("{operator}IfExists")] {
            check(&operator, &[value], Has::One(same), false);
            check(&operator, &[value], Has::One(other), true);
            check(&operator, &[value], Has::Nothing, true);
            check(&operator, &[value], Has::Many(&[]), true);
            check(&operator, &[value], Has::Many(&[other]), false);
            if let Some(unreadable) = unreadable {
                check_both(&operator, &[value], Has::One(unreadable), false, true);
            }
        }
    }
}

#[test]
fn for_all_values_holds_if_no_value_fails() {
    for Case { operator, value, same, other, unreadable } in &POSITIVE {
        for suffix in ["", "IfExists"] {
            let all = format!("forallvalues:{operator}{suffix}");
            for (has, expected) in [
                (Has::Nothing, true),
                (Has::Many(&[]), true),
                (Has::Many(&[""]), true),
                (Has::One(""), true),
                (Has::One(same), true),
                (Has::One(other), false),
                (Has::Many(&[same]), true),
                (Has::Many(&[same, same]), true),
                (Has::Many(&[same, other]), false),
                (Has::Many(&[other]), false),
            ] {
                check(&all, &[value], has, expected);
            }
            if let Some(unreadable) = unreadable.filter(|text| !text.is_empty()) {
                check(&all, &[value], Has::Many(&[same, unreadable]), false);
            }
            let Some(operator) = negated(operator) else { continue };
            let all = format!("ForAllValues:{operator}{suffix}");
            for (has, expected) in [
                (Has::Nothing, true),
                (Has::Many(&[""]), true),
                (Has::One(other), true),
                (Has::Many(&[other, other]), true),
                (Has::Many(&[other, same]), false),
                (Has::One(same), false),
            ] {
                check(&all, &[value], has, expected);
            }
            if let Some(unreadable) = unreadable.filter(|text| !text.is_empty()) {
                check_both(&all, &[value], Has::Many(&[other, unreadable]), false, true);
                check(&all, &[value], Has::Many(&[same, unreadable]), false);
            }
        }
    }
}

#[test]
fn for_any_value_holds_if_one_value_does() {
    for Case { operator, value, same, other, unreadable } in &POSITIVE {
        for suffix in ["", "IfExists"] {
            let any = format!("FORANYVALUE:{operator}{suffix}");
            for (has, expected) in [
                (Has::Nothing, false),
                (Has::Many(&[]), false),
                (Has::Many(&[""]), false),
                (Has::One(""), false),
                (Has::One(same), true),
                (Has::One(other), false),
                (Has::Many(&[other, same]), true),
                (Has::Many(&[other, other]), false),
            ] {
                check(&any, &[value], has, expected);
            }
            if let Some(unreadable) = unreadable.filter(|text| !text.is_empty()) {
                check(&any, &[value], Has::Many(&[unreadable]), false);
            }
            let Some(operator) = negated(operator) else { continue };
            let any = format!("ForAnyValue:{operator}{suffix}");
            for (has, expected) in [
                (Has::Nothing, false),
                (Has::Many(&[""]), false),
                (Has::One(other), true),
                (Has::Many(&[same, other]), true),
                (Has::Many(&[same, same]), false),
            ] {
                check(&any, &[value], has, expected);
            }
            if let Some(unreadable) = unreadable.filter(|text| !text.is_empty()) {
                check_both(&any, &[value], Has::Many(&[same, unreadable]), false, true);
            }
        }
    }
}

#[test]
fn values_of_a_policy_are_alternatives() {
    check("StringEquals", &["c", "a", "b"], Has::One("b"), true);
    check("StringEquals", &["c", "a", "b"], Has::One("d"), false);
    check("StringNotEquals", &["c", "a", "b"], Has::One("b"), false);
    check("StringNotEquals", &["c", "a", "b"], Has::One("d"), true);
    check("NumericLessThan", &["1", "5"], Has::One("3"), true);
    check("NotIpAddress", &["10.0.0.0/8", "::/0"], Has::One("192.0.2.1"), true);
    check("ForAllValues:StringEquals", &["a", "b"], Has::Many(&["b", "a"]), true);
    check("ForAllValues:StringEquals", &["a", "b"], Has::Many(&["b", "c"]), false);
    check("ForAnyValue:StringNotEquals", &["a", "b"], Has::Many(&["a", "b"]), false);
    check("ForAnyValue:StringNotEquals", &["a", "b"], Has::Many(&["a", "c"]), true);
}

#[test]
fn no_values_match_nothing() {
    check("StringEquals", &[], Has::One("a"), false);
    check("StringNotEquals", &[], Has::One("a"), true);
    check("ForAnyValue:StringLike", &[], Has::Many(&["a"]), false);
    check("Null", &[], Has::Nothing, false);
    check("Null", &[], Has::One("a"), false);
}

#[test]
fn an_empty_text_is_a_value_to_plain_operators() {
    check("StringEquals", &[""], Has::One(""), true);
    check("StringLike", &["*"], Has::One(""), true);
    check("StringLike", &["?*"], Has::One(""), false);
    check("StringNotEquals", &["a"], Has::One(""), true);
    check("ForAllValues:StringEquals", &["a"], Has::Many(&["", ""]), false);
    check("ForAllValues:StringEquals", &["a"], Has::Many(&["a", ""]), false);
}

#[test]
fn null_asks_whether_the_key_is_there() {
    for operator in ["Null", "null", "ForAllValues:Null", "ForAnyValue:Null"] {
        check(operator, &["true"], Has::Nothing, true);
        check(operator, &["true"], Has::Many(&[]), true);
        check(operator, &["True"], Has::One("a"), false);
        check(operator, &["true"], Has::Many(&["a", "b"]), false);
        check(operator, &["false"], Has::Nothing, false);
        check(operator, &["false"], Has::Many(&[]), false);
        check(operator, &["FALSE"], Has::One(""), true);
        check(operator, &["false"], Has::Many(&["a", "b"]), true);
        check(operator, &["true", "false"], Has::Nothing, true);
        check(operator, &["true", "false"], Has::One("a"), true);
    }
}

#[test]
fn typed_values_are_compared_as_what_they_are() {
    let time = || Has::Typed(Value::Time(UnixSeconds(1_704_067_200)));
    let number = |number| Has::Typed(Value::Number(number));
    let address = |text: &str| Has::Typed(Value::Address(text.parse().unwrap()));
    check("DateEquals", &["2024-01-01"], time(), true);
    check("DateGreaterThan", &["2024-01-01"], time(), false);
    check("NumericEquals", &["1704067200"], time(), true);
    check("StringEquals", &["2024-01-01T00:00:00Z"], time(), true);
    check("DateEquals", &["1704067200"], number(1_704_067_200), true);
    check("DateLessThan", &["2024"], number(1999), true);
    check("DateLessThan", &["9999"], Has::Typed(Value::Time(UnixSeconds(u64::MAX))), false);
    check("NumericLessThan", &["3600"], number(3599), true);
    check("NumericLessThan", &["3600"], number(3600), false);
    check("NumericGreaterThan", &["18446744073709551614.5"], number(u64::MAX), true);
    check("StringEquals", &["3600"], number(3600), true);
    check("Bool", &["true"], Has::Typed(Value::Bool(true)), true);
    check("Bool", &["true"], Has::Typed(Value::Bool(false)), false);
    check("StringEquals", &["true"], Has::Typed(Value::Bool(true)), true);
    check("Bool", &["true"], number(1), false);
    check("IpAddress", &["192.0.2.0/24"], address("192.0.2.9"), true);
    check("StringLike", &["192.0.2.*"], address("::ffff:192.0.2.9"), true);
    check("ForAllValues:IpAddress", &["192.0.2.0/24"], address("192.0.3.9"), false);
    check_both("NotIpAddress", &["192.0.2.0/24"], number(1), false, true);
    check_both("DateNotEquals", &["2024"], Has::Typed(Value::Bool(true)), false, true);
    check_both("NumericNotEquals", &["1"], address("::1"), false, true);
}

#[test]
fn addresses_match_networks_of_their_family() {
    for (network, address, expected) in [
        ("192.168.0.7/8", "192.1.2.3", true),
        ("192.168.0.7/8", "193.1.2.3", false),
        ("192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("0.0.0.0/0", "192.0.2.1", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "192.0.2.1", false),
        ("::/0", "2001:db8::1", true),
        ("2001:db8::/32", "2001:DB8:0:0::1", true),
        ("2001:db8::1", "2001:db8::2", false),
        ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ("10.0.0.0/8", "::ffff:a00:1", true),
        ("10.0.0.0/8", "::ffff:11.0.0.1", false),
        ("::ffff:10.0.0.0/104", "10.0.0.1", true),
        ("::ffff:10.0.0.1", "10.0.0.1", true),
        ("::ffff:10.0.0.0/104", "11.0.0.1", false),
        ("::ffff:0:0/96", "10.0.0.1", true),
        ("::/0", "::ffff:10.0.0.1", false),
    ] {
        check("IpAddress", &[network], Has::One(address), expected);
        check("NotIpAddress", &[network], Has::One(address), !expected);
    }
    for unreadable in ["", "10.0.0", "10.0.0.01", "10.0.0.1/32", "10.0.0.1 ", "fe80::1%eth0", "*"] {
        check("IpAddress", &["0.0.0.0/0", "::/0"], Has::One(unreadable), false);
        check_both("NotIpAddress", &["10.0.0.0/8"], Has::One(unreadable), false, true);
    }
}

#[test]
fn an_arn_matches_part_by_part_and_a_text_does_not() {
    let root = "arn:aws:iam::111111111111:role/x";
    check("ArnLike", &["arn:aws:iam:*:role/x"], Has::One(root), false);
    check("StringLike", &["arn:aws:iam:*:role/x"], Has::One(root), true);
    check("ArnEquals", &["arn:aws:iam::*:role/*"], Has::One(root), true);
    check("ArnEquals", &["arn:aws:iam::*:role/*"], Has::One("arn:aws:iam::1:role/a:b/c"), true);
    check("ArnLike", &["arn:AWS:iam::*:role/*"], Has::One(root), false);
    check("ArnLike", &["arn:aws:sqs:*:1:q"], Has::One("arn:aws:sqs:eu:2:1:q"), false);
    check("ArnEquals", &["arn:aws:iam::111111111111:role/x"], Has::One(root), true);
    check("ArnNotLike", &["arn:aws:iam::*:role/y*"], Has::One(root), true);
    // The role's ARN is what a session has; its own name is in no condition.
    let session = "arn:aws:sts::111111111111:assumed-role/x/s";
    check("ArnEquals", &[session], Has::One(root), false);
    // A value of fewer parts is no pattern of an ARN, not even of any.
    for short in ["*", "arn:aws:iam::*", "", "${aws:username}"] {
        check("ArnLike", &[short], Has::One(root), false);
        check("ArnNotLike", &[short], Has::One(root), true);
    }
    // What looks like a wildcard in a request is a character.
    check("ArnLike", &["arn:aws:s3:::b/k"], Has::One("arn:aws:s3:::b/*"), false);
    check("ArnLike", &["arn:aws:s3:::b/${*}"], Has::One("arn:aws:s3:::b/*"), true);
    check("ArnLike", &["arn:aws:s3:::b/${*}"], Has::One("arn:aws:s3:::b/k"), false);
}

#[test]
fn variables_are_replaced_in_values() {
    check("StringEquals", &["${aws:username}"], Has::One("jo"), true);
    check("StringEquals", &["${aws:username}"], Has::One("al"), false);
    check("StringEquals", &["a", "${aws:username}"], Has::One("a"), true);
    check("StringLike", &["${aws:username}/*"], Has::One("jo/x"), true);
    check("StringEqualsIgnoreCase", &["${aws:username}"], Has::One("JO"), true);
    check("StringNotEquals", &["${aws:username}"], Has::One("jo"), false);
    check(
        "ArnLike",
        &["arn:aws:iam::1:user/${aws:username}"],
        Has::One("arn:aws:iam::1:user/jo"),
        true,
    );
    check(
        "ArnLike",
        &["arn:aws:iam::${a:b, '1'}:user/*"],
        Has::One("arn:aws:iam::1:user/jo"),
        true,
    );
    check(
        "ArnLike",
        &["arn:aws:iam::${a:b, '2'}:user/*"],
        Has::One("arn:aws:iam::1:user/jo"),
        false,
    );
    check("Bool", &["${no:key, 'True'}"], Has::One("true"), true);
    check("Bool", &["${no:key, 'True'}"], Has::One("false"), false);
    check("Bool", &["${aws:username}"], Has::One("jo"), false);
    // Without a value, and with more than one: nothing is equal to it.
    for nothing in ["${no:key}", "${tags}", "${tags, 'jo'}"] {
        check("StringEquals", &[nothing], Has::One("jo"), false);
        check("StringNotEquals", &[nothing], Has::One("jo"), true);
        check("StringLike", &[&format!("*{nothing}*")], Has::One("jo"), false);
        check("StringNotLike", &[&format!("*{nothing}*")], Has::One("jo"), true);
        check("StringNotEqualsIgnoreCase", &[nothing], Has::One("jo"), true);
        let arn = format!("arn:aws:iam::1:user/{nothing}");
        check("ArnLike", &[&arn], Has::One("arn:aws:iam::1:user/jo"), false);
        check("ArnNotLike", &[&arn], Has::One("arn:aws:iam::1:user/jo"), true);
        check("Bool", &[nothing], Has::One("true"), false);
    }
    check("StringNotEquals", &["${no:key}", "jo"], Has::One("jo"), false);
}

#[test]
fn an_old_document_compares_variables_as_they_are_written() {
    let condition = condition("StringEquals", "k", &["${aws:username}"]);
    let compiled = CompiledCondition::compile(&condition, Version::V2008).unwrap();
    for (value, expected) in [("${aws:username}", true), ("jo", false)] {
        assert_eq!(compiled.holds(&request(Has::One(value)), Effect::Allow), expected, "{value}");
    }
}

/// The edges where policies are often misread, each in both effects.
#[test]
fn absent_keys_hit_the_denials_that_negate() {
    check("StringNotEquals", &["a"], Has::Nothing, true);
    check("StringNotEqualsIfExists", &["a"], Has::Nothing, true);
    check("StringEquals", &["a"], Has::Nothing, false);
    check("NotIpAddress", &["192.0.2.0/24"], Has::Nothing, true);
    check("ArnNotLike", &["arn:aws:iam::1:role/x"], Has::Nothing, true);
    check("Bool", &["false"], Has::Nothing, false);
    check("BoolIfExists", &["false"], Has::Nothing, true);
    // An empty set passes `ForAllValues`; only `Null` tells it from a set that was given.
    check("ForAllValues:StringEquals", &["a"], Has::Many(&[]), true);
    check("Null", &["false"], Has::Many(&[]), false);
}

#[test]
fn keys_have_no_letter_case() {
    let condition = condition("StringEquals", "AWS:UserName", &["jo"]);
    let compiled = CompiledCondition::compile(&condition, Version::V2012).unwrap();
    assert!(compiled.holds(&request(Has::Nothing), Effect::Allow));
}

#[test]
fn binary_values_are_the_same_with_and_without_padding() {
    check("BinaryEquals", &["aGk="], Has::One("aGk"), true);
    for other in ["aGk==", "aGl=", "agk=", "hi", "", "aGkh"] {
        check("BinaryEquals", &["aGk="], Has::One(other), false);
    }
    check("BinaryEquals", &[""], Has::One(""), true);
}

#[test]
fn operators_are_known_in_any_letter_case() {
    for (name, expected) in [
        ("stringequals", "StringEquals"),
        ("BOOLIFEXISTS", "BoolIfExists"),
        ("foranyvalue:ArnlikeIFEXISTS", "ForAnyValue:ArnLikeIfExists"),
        ("ForAllValues:NumericNotEquals", "ForAllValues:NumericNotEquals"),
        ("StringNotEqualsIgnoreCaseIfExists", "StringNotEqualsIgnoreCaseIfExists"),
        ("null", "Null"),
    ] {
        assert_eq!(Operator::parse(name).unwrap().to_string(), expected);
    }
    for name in [
        "",
        "StringEqual",
        "IfExists",
        "NullIfExists",
        "ForAllValues:",
        "ForAllValues",
        "ForSomeValues:StringEquals",
        "ForAllValues: StringEquals",
        "ForAllValues:ForAnyValue:StringEquals",
        "BinaryNotEquals",
        "StringEqualsIfExistsIfExists",
        " StringEquals",
    ] {
        assert_eq!(Operator::parse(name), None, "{name}");
    }
}

#[track_caller]
fn check_error(operator: &str, value: &str, expected: (&str, Option<&str>)) {
    let condition = condition(operator, "k", &[value]);
    let findings = CompiledCondition::compile(&condition, Version::V2012).unwrap_err();
    let [finding] = &*findings else { panic!("{findings:?}") };
    assert_eq!((&*finding.message, finding.hint.as_deref()), expected);
    assert_eq!(CompiledCondition::check(&condition, Version::V2012), findings);
    assert_eq!(finding.severity, Severity::Error);
}

#[test]
fn an_unknown_operator_is_an_error() {
    check_error("StringEqual", "a", ("the condition operator `StringEqual` is unknown", None));
    assert!(Operator::names().all(|name| Operator::parse(name).is_some()));
}

#[test]
fn each_wrong_value_is_an_error_at_its_place() {
    let condition = condition("NumericEquals", "k", &["1", "1e3", "2", "x"]);
    let findings = CompiledCondition::compile(&condition, Version::V2012).unwrap_err();
    let places: Vec<_> = findings.iter().map(|finding| (finding.offset, finding.len)).collect();
    assert_eq!(places, [(101, 3), (103, 1)]);
    check_error(
        "NumericEquals",
        "1e3",
        (
            "`1e3` is no decimal number",
            Some("write digits with an optional sign and fraction, without an exponent"),
        ),
    );
}

#[test]
fn wrong_values_of_each_type_are_errors() {
    for (operator, wrong, right) in [
        ("NumericEquals", &["", "1e3", "1.", ".5", "--1", "1,5", " 1", "٣", "NaN"][..], "-1.50"),
        ("DateEquals", &["", "soon", "2024-13", "2024-02-30", "-1", "2024-1-1"], "2024-02-29"),
        ("Bool", &["", "yes", "1", "true "], "fAlse"),
        ("Null", &["", "yes", "${aws:username}"], "TRUE"),
        ("BinaryEquals", &["aGk", "a", "aGl=", "****"], "aGk="),
        (
            "IpAddress",
            &[
                "",
                "10.0.0.0/33",
                "10.0.0",
                "::/129",
                "10.0.0.0/-1",
                "*",
                "010.0.0.0/8",
                "1.2.3.4/+8",
                "1.2.3.4/",
            ],
            "10.0.0.1/8",
        ),
        ("StringLike", &["${", "${a${b}}", "${a, b}"], "${a, 'b'}"),
        ("ArnLike", &["arn:aws:s3:::${"], "arn:aws:s3:::$"),
    ] {
        for prefix in ["", "ForAnyValue:"] {
            let operator = format!("{prefix}{operator}");
            for wrong in wrong {
                let wrong = condition(&operator, "k", &[wrong]);
                let result = CompiledCondition::compile(&wrong, Version::V2012);
                assert!(result.is_err(), "{operator} {:?}", wrong.values);
            }
            compile(&operator, &[right]);
        }
    }
    for operator in ["NumericEquals", "DateEquals", "BinaryEquals", "IpAddress", "Null"] {
        let condition = condition(operator, "k", &["${aws:username}"]);
        let findings = CompiledCondition::compile(&condition, Version::V2012).unwrap_err();
        assert!(findings[0].hint.as_deref().unwrap().contains("policy variables"), "{operator}");
    }
    let bool = condition("Bool", "k", &["${no:key, 'true'}"]);
    assert!(CompiledCondition::compile(&bool, Version::V2012).is_ok());
    assert!(CompiledCondition::compile(&bool, Version::V2008).is_err());
}

#[test]
fn a_short_arn_is_a_warning() {
    let condition = condition("ArnLike", "k", &["arn:aws:s3:::b", "arn:aws:s3"]);
    let findings = CompiledCondition::check(&condition, Version::V2012);
    let [finding] = &*findings else { panic!("{findings:?}") };
    assert_eq!((finding.severity, finding.offset), (Severity::Warning, 101));
    assert_eq!(finding.message, "`arn:aws:s3` has fewer than six parts and matches no ARN");
    assert!(CompiledCondition::compile(&condition, Version::V2012).is_ok());
}

#[test]
fn a_condition_tells_what_it_says() {
    let condition = condition(
        "foranyvalue:arnlike",
        "AWS:PrincipalArn",
        &["arn:aws:iam::${aws:PrincipalAccount}:user/${aws:username, 'x'}*", "short"],
    );
    let compiled = CompiledCondition::compile(&condition, Version::V2012).unwrap();
    assert_eq!(compiled.key.as_str(), "aws:principalarn");
    assert_eq!(compiled.operator().to_string(), "ForAnyValue:ArnLike");
    assert_eq!(
        compiled.values(),
        ["arn:aws:iam::${aws:principalaccount}:user/${aws:username, 'x'}*", "short",]
    );
    for (operator, value) in [
        ("StringEquals", "a*"),
        ("StringLike", "a${*}b*"),
        ("NumericEquals", "-01.50"),
        ("DateLessThan", "2024-01-01T10:00+01:00"),
        ("IpAddress", "10.0.0.0/8"),
        ("Bool", "true"),
        ("Null", "false"),
        ("BinaryEquals", "aGk="),
        ("ArnEquals", "arn:aws:s3:::b"),
    ] {
        assert_eq!(compile(operator, &[value]).values(), [value], "{operator}");
    }
}

#[test]
fn asking_allocates_nothing() {
    let texts = [
        ("StringLike", "*${aws:username}?*${no:key, 'x'}*"),
        ("StringNotEqualsIgnoreCase", "${aws:username}É"),
        ("NumericLessThan", "123456789012345678901234567890.5"),
        ("DateLessThan", "2024-01-01T10:00:00.5+01:00"),
        ("NotIpAddress", "2001:db8::/32"),
        ("ForAnyValue:ArnLike", "arn:aws:iam::*:user/${aws:username}"),
        ("Bool", "${aws:username}"),
        ("BinaryEquals", "aGk="),
        ("Null", "true"),
    ];
    let conditions = texts.map(|(operator, value)| compile(operator, &[value, value]));
    let requests = [
        Has::Nothing,
        Has::One("2024-01-01T10:00:00.25Z"),
        Has::One("arn:aws:iam::1:user/jo"),
        Has::One("2001:db8::1"),
        Has::Many(&["arn:aws:iam::1:user/al", "arn:aws:iam::1:user/jo"]),
        Has::Typed(Value::Time(UnixSeconds(1_704_067_200))),
        Has::Typed(Value::Address([192, 0, 2, 1].into())),
    ]
    .map(request);
    let measured = allocation_counter::measure(|| {
        for (condition, context) in
            conditions.iter().flat_map(|it| requests.iter().map(move |request| (it, request)))
        {
            std::hint::black_box(condition.holds(context, Effect::Deny));
        }
    });
    assert_eq!(measured.count_total, 0);
}

#[test]
fn a_condition_is_small() {
    assert!(size_of::<CompiledCondition>() <= 80);
}

#[test]
fn dates_are_moments() {
    let seconds = |text: &str| Moment::parse(text);
    let new_year = Some(Moment::from_unix(UnixSeconds(1_704_067_200)));
    for text in [
        "2024",
        "2024-01",
        "2024-01-01",
        "2024-01-01T00:00Z",
        "2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00.000Z",
        "2024-01-01T02:30+02:30",
        "2023-12-31T19:00:00-05:00",
        "1704067200",
        "1704067200.0",
    ] {
        assert_eq!(seconds(text), new_year, "{text}");
    }
    for pair in [
        ["0000", "0001"],
        ["1969", "0"],
        ["0", "00001"],
        ["999", "10000"],
        ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000000001Z"],
        ["2024-01-01T00:00:00.1Z", "2024-01-01T00:00:00.11Z"],
        ["1704067200.5", "1704067200.51"],
        ["9999-12-31T23:59:58Z", "9999-12-31T23:59:59Z"],
        ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"],
        ["9999-12-31T23:59:59Z", "9223372036854775807"],
    ] {
        let [early, late] = pair.map(|text| seconds(text).unwrap_or_else(|| panic!("{text}")));
        assert!(early < late, "{pair:?}");
    }
}

#[test]
fn other_texts_are_no_dates() {
    for text in [
        "",
        "-1",
        "+2024",
        "20a4",
        "2024-",
        "2024-1",
        "2024-00",
        "2024-01-1",
        "2024-01-32",
        "2023-02-29",
        "24-01-01",
        "2024-01-01T",
        "2024-01-01T10Z",
        "2024-01-01T10:00",
        "2024-01-01T24:00Z",
        "2024-01-01T10:60Z",
        "2024-01-01T10:00:60Z",
        "2024-01-01T10:00.5Z",
        "2024-01-01T10:00:00.Z",
        "2024-01-01T10:00:00.0000000000Z",
        "2024-01-01T10:00:00:00Z",
        "2024-01-01T10:00ZZ",
        "2024-01-01T10:00+1:00",
        "2024-01-01T10:00+24:00",
        "2024-01-01T10:00+01:60",
        "2024-01-01T10:00+0100",
        "2024-01-01t10:00z",
        "2024-01-01 10:00Z",
        "2024-01T10:00Z",
        "2024T10:00Z",
        "1.",
        ".5",
        "9223372036854775808",
        "1704067200.0000000000",
        "1704067200Z",
        "1e9",
        "é024",
    ] {
        assert_eq!(Moment::parse(text), None, "{text}");
    }
}

#[test]
fn numbers_are_compared_by_value() {
    let parse = |text| Decimal::parse(text).unwrap_or_else(|| panic!("{text}"));
    for text in ["10", "+10", "010", "10.0", "0010.000"] {
        assert_eq!(parse(text), parse("10"), "{text}");
    }
    for text in ["0", "-0", "+0.0", "-000.000"] {
        assert_eq!(parse(text), parse("0"), "{text}");
    }
    let long = format!("1{}", "0".repeat(400));
    let sorted =
        ["-10", "-9.5", "-0.1", "-0.01", "0", "0.049", "0.05", "0.5", "1", "9", "10", &long];
    for (left, right) in sorted.iter().zip(sorted.iter().skip(1)) {
        assert!(parse(left) < parse(right), "{left} {right}");
    }
    for text in ["", "-", "+", ".", "1.", ".1", "1.2.3", "1e3", "1E3", "0x1", "--1", "1 ", "１"] {
        assert!(Decimal::parse(text).is_none(), "{text}");
    }
}

/// A decimal of at most twelve digits before and after the point, as a whole number.
fn scaled(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: i128 = format!("{whole}{fraction:0<12}").parse().unwrap();
    digits
}

#[test]
fn no_finding_shows_an_external_id() {
    for (operator, value) in [
        ("Null", "s3cr3t"),
        ("NumericEquals", "s3cr3t"),
        ("DateGreaterThan", "s3cr3t"),
        ("ArnLike", "s3cr3t"),
        ("ArnEquals", "arn:${s3cr3t"),
        ("StringEquals", "s3cr3t${"),
        ("StringLike", "s3cr3t${a${b}}"),
        ("Bool", "s3cr3t"),
        ("BinaryEquals", "s3cr3t"),
        ("IpAddress", "s3cr3t"),
    ] {
        for key in ["sts:ExternalId", "STS:externalid"] {
            let found =
                CompiledCondition::check(&condition(operator, key, &[value]), Version::V2012);
            assert!(!found.is_empty(), "{operator}");
            assert!(!found.iter().any(|it| it.to_string().contains("s3cr3t")), "{found:?}");
        }
        let other = CompiledCondition::check(&condition(operator, "k", &[value]), Version::V2012);
        assert!(other.iter().all(|it| it.message.contains("s3cr3t")), "{other:?}");
    }
}

proptest! {
    #[test]
    fn decimals_compare_as_whole_numbers_of_the_same_scale(
        left in "[+-]?[0-9]{1,12}(\\.[0-9]{1,12})?",
        right in "[+-]?0{0,2}[0-9]{1,3}(\\.[0-9]{1,3}0{0,2})?",
        tail in "0{0,3}",
    ) {
        let parse = |text| Decimal::parse(text).unwrap();
        prop_assert_eq!(parse(&left).cmp(&parse(&right)), scaled(&left).cmp(&scaled(&right)));
        let longer = if left.contains('.') { format!("{left}{tail}") } else { left.clone() };
        prop_assert_eq!(parse(&left), parse(&longer));
    }

    #[test]
    fn short_decimals_compare_as_whole_numbers_of_the_same_scale(
        left in "-?[01]{1,2}(\\.[01]{1,2})?",
        right in "-?[01]{1,2}(\\.[01]{1,2})?",
    ) {
        let parse = |text| Decimal::parse(text).unwrap();
        prop_assert_eq!(parse(&left).cmp(&parse(&right)), scaled(&left).cmp(&scaled(&right)));
    }

    #[test]
    fn written_moments_read_back(seconds in 0..253_402_300_799_i64, nanos in 0..1_000_000_000_i32) {
        let time = jiff::civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
            + jiff::SignedDuration::new(seconds, nanos);
        let epoch = format!("{seconds:05}.{nanos:09}");
        prop_assert_eq!(Moment::parse(&format!("{time}Z")), Moment::parse(&epoch));
        prop_assert!(Moment::parse(&epoch).is_some());
    }

    #[test]
    fn no_value_breaks_an_operator(value in "\\PC{0,12}", request_value in "\\PC{0,12}") {
        for name in NEGATED.iter().map(|(_, negated)| *negated).chain(["Bool", "BinaryEquals"]) {
            let condition = condition(name, "k", &[&value]);
            if let Ok(compiled) = CompiledCondition::compile(&condition, Version::V2012) {
                let context = request(Has::One(&request_value));
                let allow = compiled.holds(&context, Effect::Allow);
                let deny = compiled.holds(&context, Effect::Deny);
                prop_assert!(deny || !allow, "{} {} {}", name, value, request_value);
            }
        }
    }
}
