use proptest::prelude::*;

use super::glob::Piece;
use super::*;
use crate::clock::UnixSeconds;
use crate::iam::{Action, Arn};
use crate::policy::context::{Context, NoContext, TestContext, Value, Values, variable};
use crate::policy::question::Resource;

const LIKE: Syntax = Syntax { wildcards: true, variables: true };
const EQUAL: Syntax = Syntax { wildcards: false, variables: true };
const OLD: Syntax = Syntax { wildcards: true, variables: false };

fn glob(text: &str, syntax: Syntax) -> Glob {
    Glob::parse(text, syntax).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn context() -> TestContext {
    TestContext::default()
        .with_text("aws:username", "jo")
        .with_text("aws:userid", "")
        .with_text("aws:PrincipalTag/Cost Centre", "*")
        .with_text("aws:Referer", "${aws:username}")
        .with_many("aws:TagKeys", &["jo"])
        .with_many("aws:CalledVia", &[])
        .with("aws:SourceIp", Values::One(Value::Address("::ffff:192.0.2.1".parse().unwrap())))
        .with("aws:SecureTransport", Values::One(Value::Bool(true)))
        .with("aws:EpochTime", Values::One(Value::Number(1_760_105_007)))
        .with("aws:CurrentTime", Values::One(Value::Time(UnixSeconds(1_760_105_007))))
}

/// A pattern and texts that it means, then texts that it does not mean.
#[track_caller]
fn check(pattern: &str, syntax: Syntax, same: &[&str], other: &[&str]) {
    let glob = glob(pattern, syntax);
    for (texts, expected) in [(same, true), (other, false)] {
        for text in texts {
            assert_eq!(
                glob.matches(text, &context()),
                expected,
                "`{pattern}` on `{text}`: {glob:?}"
            );
        }
    }
}

#[test]
fn wildcards_stand_for_characters_and_not_for_bytes() {
    check("", LIKE, &[""], &["a"]);
    check("*", LIKE, &["", "a", "é/:*"], &[]);
    check("**", LIKE, &["", "a"], &[]);
    check("?", LIKE, &["a", "é", "🦀", "?"], &["", "ab"]);
    check("a?c", LIKE, &["abc", "aéc"], &["ac", "abbc", "abcd", "ABC"]);
    check("*?", LIKE, &["a", "abc", "é"], &[""]);
    check("?*?", LIKE, &["ab", "abc"], &["", "a"]);
    check("*a?c*", LIKE, &["abc", "xaacabcx", "aaéc"], &["ac", "abd"]);
    check("a*", LIKE, &["a", "abc"], &["", "ba"]);
    check("*a", LIKE, &["a", "ba", "aba"], &["", "ab"]);
    check("a*a", LIKE, &["aa", "aba", "aaa"], &["a", "ab"]);
    check("*ab*ab", LIKE, &["abab", "xabyab", "ababab"], &["ab", "aab", "abxb"]);
    check("*aab*", LIKE, &["aaab", "aab"], &["abab"]);
    check("*?*é*", LIKE, &["aé", "éé"], &["é", ""]);
    check("a*", EQUAL, &["a*"], &["a", "ab"]);
}

#[test]
fn variables_are_replaced_by_characters_that_stand_for_themselves() {
    check("a/${aws:username}/*", LIKE, &["a/jo/", "a/jo/x"], &["a/jo", "a/JO/x", "a//x"]);
    check("${AWS:UserName}", LIKE, &["jo"], &["jo ", "", "j"]);
    check("*${aws:username}", LIKE, &["jo", "ajo", "jojo"], &["joa", ""]);
    check("*${aws:username}?*", LIKE, &["joa", "jojo"], &["jo", "ajo"]);
    check("*${aws:username}*${aws:username}x*", LIKE, &["jo.jox"], &["jox", "jojo"]);
    check("a${aws:userid}b", LIKE, &["ab"], &["axb", "a"]);
    check("*${aws:userid}?*", LIKE, &["b", "bb"], &[""]);
    // A wildcard and a variable in a value are plain.
    check("${aws:PrincipalTag/cost centre}", LIKE, &["*"], &["", "a"]);
    check("x*${aws:principaltag/Cost Centre}", LIKE, &["x*", "xy*"], &["xy", "x"]);
    check("${aws:Referer}", LIKE, &["${aws:username}"], &["jo"]);
    check("$${aws:username}$", LIKE, &["$jo$"], &["jo"]);
}

#[test]
fn typed_values_are_replaced_by_their_texts() {
    check("${aws:SourceIp}", LIKE, &["192.0.2.1"], &["::ffff:192.0.2.1"]);
    check("${aws:SecureTransport}", LIKE, &["true"], &["TRUE"]);
    check("${aws:EpochTime}", LIKE, &["1760105007"], &["1760105007.0"]);
    check("at ${aws:CurrentTime}", LIKE, &["at 2025-10-10T14:03:27Z"], &["at 1760105007"]);
}

#[test]
fn a_variable_without_a_value_means_nothing() {
    for pattern in ["${no:key}", "*${no:key}*", "${aws:TagKeys}", "${aws:TagKeys, 'jo'}"] {
        check(pattern, LIKE, &[], &["", "jo", "${no:key}", "null"]);
    }
}

#[test]
fn a_default_counts_where_the_key_is_absent() {
    check("${no:key, 'd*'}", LIKE, &["d*"], &["d", "dx", ""]);
    check("${no:key,'d'}", LIKE, &["d"], &[""]);
    check("${no:key, ''}x", LIKE, &["x"], &[""]);
    check("${no:key, 'a}'b'}x", LIKE, &["a}'bx"], &[]);
    check("${aws:CalledVia, 'd'}", LIKE, &["d"], &[""]);
    check("${aws:username, 'd'}", LIKE, &["jo"], &["d"]);
    check("${aws:userid, 'd'}", LIKE, &[""], &["d"]);
}

#[test]
fn the_literal_characters_are_no_wildcards() {
    check("a${*}", LIKE, &["a*"], &["a", "ab", "a${*}"]);
    check("a${?}", LIKE, &["a?"], &["ab"]);
    check("${$}{aws:username}", LIKE, &["${aws:username}"], &["jo"]);
    check("a${*}", EQUAL, &["a*"], &["a${*}"]);
}

#[test]
fn an_old_document_has_no_variables() {
    check("${aws:username}", OLD, &["${aws:username}"], &["jo"]);
    check("${aws:*", OLD, &["${aws:", "${aws:x}"], &["jo"]);
    check("a${*}", OLD, &["a${}", "a${x}"], &["a*"]);
}

#[test]
fn a_broken_variable_is_an_error() {
    for text in [
        "${",
        "a${b",
        "${}",
        "${, 'd'}",
        "${a${b}}",
        "${a, 'd}",
        "${a, d}",
        "${a,}",
        "${a, '${b}'}",
        "${a, 'd' }",
        "${*",
    ] {
        assert_eq!(Glob::parse(text, LIKE), Err(PatternError::Variable), "{text}");
        assert!(Glob::parse(text, OLD).is_ok(), "{text}");
    }
    for text in ["$", "{}", "$ {", "a$", "${ }", "$}"] {
        assert!(Glob::parse(text, LIKE).is_ok(), "{text}");
    }
}

#[test]
fn a_pattern_reads_back_as_it_was_written() {
    for text in ["", "a*b?c", "${aws:username}/*", "${a:b, 'x'}", "a${*}b", "?*"] {
        assert_eq!(glob(text, LIKE).render(LIKE), text);
    }
    assert_eq!(glob("a*b", EQUAL).render(EQUAL), "a*b");
    assert_eq!(glob("a${*", OLD).render(OLD), "a${*");
}

#[test]
fn a_hostile_pattern_ends() {
    let text = "a".repeat(2000);
    for pattern in [
        format!("{}b", "*a".repeat(1000)),
        format!("*{}b*", "a".repeat(1000)),
        format!("*{}b*", "a?".repeat(500)),
        format!("*{}b*", "${aws:username, 'a'}".repeat(500)),
        format!("{}*b*", "*?a".repeat(500)),
    ] {
        assert!(!glob(&pattern, LIKE).matches(&text, &NoContext), "{pattern}");
        assert!(!glob(&pattern, LIKE).matches_any_case(&text, &NoContext), "{pattern}");
    }
}

#[test]
fn matching_allocates_nothing() {
    let globs = ["a*", "*${aws:username}?*x", "?${aws:SourceIp}*", "*${aws:CurrentTime, 'd'}"];
    let globs = globs.map(|text| glob(text, LIKE));
    let arns = ["arn:aws:s3:::b/*", "arn:aws:s3:::b", "arn:*:s?:*::*${aws:EpochTime}*"];
    let arns = arns.map(|text| ArnPattern::parse(text, true).unwrap());
    let actions =
        ["s3:*", "s3:GetObject", "s3:*t?*"].map(|text| ActionPattern::parse(text).unwrap());
    let (context, action) = (context(), Action::parse("S3:GetObjects").unwrap());
    let named =
        ["arn:AWS:S3:::b/1760105007", "arn:aws:s3:::b"].map(|text| Arn::parse(text).unwrap());
    let measured = allocation_counter::measure(|| {
        for (glob, arn) in globs.iter().flat_map(|glob| named.map(|arn| (glob, arn))) {
            std::hint::black_box(glob.matches(arn.as_str(), &context));
            std::hint::black_box(glob.matches_any_case(arn.as_str(), &context));
            std::hint::black_box(glob.equals_in_lower_case(arn.as_str(), &context));
        }
        for (pattern, arn) in arns.iter().flat_map(|pattern| named.map(|arn| (pattern, arn))) {
            std::hint::black_box(pattern.matches(Resource::Named(arn), &context));
        }
        for pattern in &actions {
            std::hint::black_box(pattern.matches(&action));
        }
    });
    assert_eq!(measured.count_total, 0);
}

#[test]
fn lower_case_is_compared_by_characters() {
    let same =
        |pattern: &str, text: &str| glob(pattern, EQUAL).equals_in_lower_case(text, &context());
    for (pattern, text) in [
        ("", ""),
        ("Straße", "sTRAßE"),
        ("ÉCOLE", "école"),
        ("ΑΒΓ", "αβγ"),
        ("X-${aws:username}!", "x-JO!"),
        ("*", "*"),
    ] {
        assert!(same(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in
        [("a", ""), ("", "a"), ("ab", "a"), ("a", "ab"), ("e", "é"), ("*", "a"), ("${no:key}", "")]
    {
        assert!(!same(pattern, text), "{pattern} {text}");
    }
}

/// What a pattern means, tried in every way there is.
fn naive<C: Context>(pieces: &[Piece], text: &str, context: &C) -> bool {
    let Some((first, rest)) = pieces.split_first() else { return text.is_empty() };
    let literal =
        |start: &str| text.strip_prefix(start).is_some_and(|text| naive(rest, text, context));
    match first {
        Piece::Any => {
            (0..=text.len()).filter_map(|at| text.get(at..)).any(|text| naive(rest, text, context))
        }
        Piece::One => text.chars().next().is_some_and(|one| literal(&one.to_string())),
        Piece::Text(text) => literal(text),
        Piece::Variable { key, default } => {
            variable(context, key, default.as_deref()).is_some_and(|value| literal(value.as_str()))
        }
    }
}

/// The pieces as written, without any of the parser's order.
fn pieces(words: &[&str]) -> Vec<Piece> {
    let one = |word: &&str| glob(word, LIKE).pieces.into_vec();
    words.iter().flat_map(one).collect()
}

proptest! {
    #[test]
    fn matching_finds_what_trying_everything_finds(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "*", "?", "a", "b", "ab", "é", "${*}", "${aws:username}", "${aws:userid}",
                "${aws:TagKeys, 'a'}", "${no:key, 'b'}",
            ]),
            0..9,
        ),
        text in "[abé*]{0,12}",
        value in "[ab*]{0,2}",
    ) {
        let context = TestContext::default()
            .with_text("aws:username", &value)
            .with_text("aws:userid", "")
            .with_text("aws:TagKeys", "b");
        let expected = naive(&pieces(&words), &text, &context);
        let glob = glob(&words.concat(), LIKE);
        prop_assert_eq!(glob.matches(&text, &context), expected);
        let lower = glob.matches_any_case(&text.to_ascii_uppercase(), &context);
        prop_assert!(!expected || lower);
    }

    #[test]
    fn no_text_breaks_the_parser(text in "[$*?{}',: a-cé]{0,20}") {
        if let Ok(glob) = Glob::parse(&text, LIKE) {
            let _: bool = glob.matches(&text, &NoContext);
        }
        let _: Result<_, _> = ArnPattern::parse(&format!("arn:{text}"), true);
        if !text.contains(['*', '?']) {
            prop_assert!(glob(&text, OLD).matches(&text, &NoContext));
        }
    }
}

#[track_caller]
fn check_action(pattern: &str, same: &[&str], other: &[&str]) {
    let parsed = ActionPattern::parse(pattern).unwrap();
    for (texts, expected) in [(same, true), (other, false)] {
        for text in texts {
            let action = Action::parse(text).unwrap();
            assert_eq!(parsed.matches(&action), expected, "`{pattern}` on `{text}`");
        }
    }
}

#[test]
fn actions_match_in_any_letter_case() {
    check_action("*", &["s3:GetObject", "sts:TagSession"], &[]);
    check_action(
        "S3:getobject",
        &["s3:GetObject", "s3:GETOBJECT"],
        &["s3:GetObjects", "s4:GetObject"],
    );
    check_action("s3:Get*", &["s3:GetObject", "S3:get"], &["s3:PutObject", "s3x:GetObject"]);
    check_action("s3:*", &["s3:GetObject"], &["s3-object-lambda:Get", "sts:s3"]);
    check_action("s3:Get?bject", &["s3:GetObject"], &["s3:Getbject"]);
    check_action("s3:${name}", &["s3:${NAME}"], &["s3:GetObject"]);
    for nothing in ["s3:", "s3: GetObject", "s3:GetObject ", " s3:GetObject"] {
        check_action(nothing, &[], &["s3:GetObject"]);
    }
}

#[test]
fn other_actions_are_errors() {
    for text in ["", "s3", "**", "*:*", "*:GetObject", "s?:Get", "s3:Get:Object", ":Get", "s*:"] {
        assert_eq!(ActionPattern::parse(text), Err(PatternError::Action), "{text}");
    }
}

#[track_caller]
fn check_arn(pattern: &str, same: &[&str], other: &[&str]) {
    let parsed = ArnPattern::parse(pattern, true).unwrap_or_else(|e| panic!("{pattern}: {e}"));
    for (texts, expected) in [(same, true), (other, false)] {
        for text in texts {
            let arn = Arn::parse(text).unwrap();
            let matches = parsed.matches(Resource::Named(arn), &context());
            assert_eq!(matches, expected, "`{pattern}` on `{text}`: {parsed:?}");
            let (prefix, exact) = parsed.literal_prefix();
            let [_, partition, service, region, account, resource] = arn.segments();
            let head = [partition, service, region].map(str::to_ascii_lowercase).join(":");
            let lower = format!("arn:{head}:{account}:{resource}");
            if matches {
                assert!(lower.starts_with(&*prefix), "{prefix} of {lower}");
            }
            assert!(!exact || matches == (lower == prefix), "{prefix} is {lower}");
        }
    }
}

#[test]
fn resources_match_part_by_part() {
    check_arn("*", &["arn:aws:s3:::b", "arn:::::"], &[]);
    check_arn(
        "arn:aws:s3:::b",
        &["arn:aws:s3:::b", "arn:AWS:S3:::b"],
        &["arn:aws:s3:::B", "arn:aws:s3:::b/", "arn:aws:s3:::", "arn:aws:s3::1:b"],
    );
    check_arn(
        "arn:aws:s3:::b*",
        &["arn:aws:s3:::b", "arn:aws:s3:::b2/secret", "arn:AWS:s3:::b/:x"],
        &["arn:aws:s3:::a", "arn:aws:s3:::Bx", "arn:aws:s3::b:"],
    );
    check_arn("arn:aws:s3:::b/*", &["arn:aws:s3:::b/", "arn:aws:s3:::b/k/l"], &["arn:aws:s3:::b"]);
    check_arn("arn:aws:s3:::*", &["arn:aws:s3:::", "arn:aws:s3:::b"], &["arn:aws:s3:eu::b"]);
    check_arn("arn:aws:s3:::b?", &["arn:aws:s3:::bé"], &["arn:aws:s3:::b", "arn:aws:s3:::bxx"]);
    check_arn("arn:aws:s3:::", &["arn:aws:s3:::"], &["arn:aws:s3:::b"]);
    check_arn(
        "arn:aws:ec2:EU-*:1:i/*",
        &["arn:aws:ec2:eu-west-1:1:i/x", "arn:aws:ec2:Eu-1:1:i/"],
        &["arn:aws:ec2:us-1:1:i/x", "arn:aws:ec2:eu-1:2:i/x", "arn:aws:ec2:eu-1:1:I/x"],
    );
    check_arn(
        "arn:*:sqs:*:*:q*x",
        &["arn:aws-cn:sqs:eu:1:qx", "arn:aws:SQS:::q:a/x"],
        &["arn:aws:sns:eu:1:qx", "arn:aws:sqs:eu:1:q"],
    );
    check_arn(
        "arn:aws:x:r:A:res",
        &["arn:aws:X:R:A:res"],
        &["arn:aws:x:r:a:res", "arn:aws:x:r:A:Res"],
    );
    check_arn("arn:aws:x:r:A:res*", &["arn:aws:X:R:A:res"], &["arn:aws:x:r:a:res"]);
    check_arn("arn:aws:s?:::b", &["arn:aws:s3:::b", "arn:aws:S3:::b"], &["arn:aws:sns:::b"]);
}

#[test]
fn a_wildcard_ends_with_its_part() {
    check_arn(
        "arn:aws:sqs:*:111:q",
        &["arn:aws:sqs:eu:111:q", "arn:aws:sqs::111:q"],
        &["arn:aws:sqs:eu:222:111:q", "arn:aws:sqs:eu:111:111:q"],
    );
}

#[test]
fn wildcards_of_a_request_stand_for_themselves() {
    check_arn("arn:aws:s3:::b/a", &[], &["arn:aws:s3:::b/*", "arn:aws:s3:::*", "arn:aws:*:::b/a"]);
    check_arn("arn:aws:s3:::b/${*}", &["arn:aws:s3:::b/*"], &["arn:aws:s3:::b/a"]);
    check_arn("arn:aws:s3:::b/?", &["arn:aws:s3:::b/*"], &["arn:aws:s3:::b/**"]);
}

#[test]
fn variables_count_in_the_resource_part_only() {
    check_arn(
        "arn:aws:s3:::b/${aws:username}/*",
        &["arn:aws:s3:::b/jo/x"],
        &["arn:aws:s3:::b/al/x"],
    );
    check_arn(
        "arn:aws:s3:::b/${aws:PrincipalTag/Cost Centre}",
        &["arn:aws:s3:::b/*"],
        &["arn:aws:s3:::b/x"],
    );
    check_arn("arn:aws:s3:::${no:key}", &[], &["arn:aws:s3:::", "arn:aws:s3:::${no:key}"]);
    check_arn(
        "arn:aws:s3::${aws:username}:b",
        &[],
        &["arn:aws:s3::jo:b", "arn:aws:s3::${aws:username}:b"],
    );
    check_arn("arn:aws:s3::${user}:b", &["arn:aws:s3::${user}:b"], &["arn:aws:s3:::b"]);
}

#[test]
fn a_resource_without_a_name_is_meant_by_the_star_alone() {
    for (pattern, expected) in [
        ("*", true),
        ("arn:*:*:*:*:*", false),
        ("arn:aws:s3:::*", false),
        ("arn:aws:s3:::b", false),
    ] {
        let parsed = ArnPattern::parse(pattern, true).unwrap();
        assert_eq!(parsed.matches(Resource::Any, &NoContext), expected, "{pattern}");
    }
}

#[test]
fn other_resources_are_errors() {
    for text in [
        "",
        "**",
        "b",
        "arn:aws:s3:::${",
        "arn:aws:s3::b",
        "arn:aws:s3",
        "ARN:aws:s3:::b",
        "*:aws:s3:::b",
    ] {
        assert!(ArnPattern::parse(text, true).is_err(), "{text}");
    }
    assert!(ArnPattern::parse("arn:aws:s3::${a:b}", true).is_err());
    assert!(ArnPattern::parse("arn:aws:s3::${a:b}", false).is_ok());
    assert!(ArnPattern::parse("arn:aws:s3:::${", false).is_ok());
}

#[test]
fn the_literal_start_is_as_long_as_it_can_be() {
    for (pattern, expected) in [
        ("*", ("", false)),
        ("arn:AWS:S3:::B", ("arn:aws:s3:::B", true)),
        ("arn:aws:s3:::b/*", ("arn:aws:s3:::b/", false)),
        ("arn:aws:s3:::b/*/c", ("arn:aws:s3:::b/", false)),
        ("arn:aws:s3:::b/${aws:username}", ("arn:aws:s3:::b/", false)),
        ("arn:aws:ec2:eu-*:1:*", ("arn:aws:ec2:eu-", false)),
        ("arn:*:ec2:eu:1:x", ("arn:", false)),
        ("arn:aws:s3:::b/${*}", ("arn:aws:s3:::b/*", true)),
    ] {
        let parsed = ArnPattern::parse(pattern, true).unwrap();
        let (prefix, exact) = parsed.literal_prefix();
        assert_eq!((&*prefix, exact), expected, "{pattern}");
    }
}
