use std::path::Path;

use super::*;

fn outline(node: &Node) -> String {
    match &node.value {
        Value::Null => format!("null@{}", node.at),
        Value::Scalar(scalar) => {
            format!("{:?} {}@{}+{}", scalar.kind, scalar.text, node.at, node.at.width)
        }
        Value::List(nodes) => {
            format!("[{}]@{}", nodes.iter().map(outline).collect::<Vec<_>>().join(", "), node.at)
        }
        Value::Table(entries) => {
            let inner: Vec<String> = entries
                .iter()
                .map(|entry| format!("{}@{}: {}", entry.key, entry.key_at, outline(&entry.node)))
                .collect();
            format!("{{{}}}@{}", inner.join(", "), node.at)
        }
    }
}

#[track_caller]
fn check(text: &str, expect: &str) {
    let mut findings = Findings::new(Path::new("t"), text);
    let mut node = read(text, NODES_MAX, &mut findings);
    let environment = |name: &str| match name {
        "PORT" => Some("8080".to_owned()),
        "NESTED" => Some("${PORT}".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    if let Some(node) = &mut node {
        expand(node, &environment, &mut findings);
    }
    let mut got = node.as_ref().map_or_else(|| "none".to_owned(), outline);
    for finding in findings.into_sorted() {
        got.push('\n');
        got.push_str(&finding.to_string());
    }
    assert_eq!(got, expect, "{text}");
}

#[test]
fn every_value_knows_its_place_and_keeps_its_spelling() {
    check(
        "a: 000111222333\nb:\n  - x: true\n    y: [1e3, \"2\", ~]\n  - é: 59e10\n",
        "{a@1:1: Number 000111222333@1:4+12, b@2:1: [{x@3:5: Boolean true@3:8+4, y@4:5: \
         [Number 1e3@4:9+3, Text 2@4:14+3, null@4:19]@4:8}@3:5, \
         {é@5:5: Number 59e10@5:8+5}@5:5]@3:3}@1:1",
    );
    check(
        "a: 59000000000000000000000000000000\nb: 0x1F\nc: .inf\nd: yes\ne: -1\n",
        "{a@1:1: Number 59000000000000000000000000000000@1:4+32, b@2:1: Number 0x1F@2:4+4, \
         c@3:1: Number .inf@3:4+4, d@4:1: Text yes@4:4+3, e@5:1: Number -1@5:4+2}@1:1",
    );
}

#[test]
fn columns_count_characters_after_wide_ones() {
    check(
        "é: {ü: \"x\", b: 7}\n",
        "{é@1:1: {ü@1:5: Text x@1:8+3, b@1:13: Number 7@1:16+1}@1:4}@1:1",
    );
}

#[test]
fn an_alias_is_where_it_is_used() {
    check("a: &x 5\nb: *x\n", "{a@1:1: Number 5@1:7+1, b@2:1: Number 5@2:4+2}@1:1");
}

#[test]
fn repeated_keys_are_all_found_with_both_places() {
    check(
        "a: 1\nb: {c: 1, c: 2}\na: 3\n",
        "{a@1:1: Number 1@1:4+1, b@2:1: {c@2:5: Number 1@2:8+1}@2:4}@1:1\n\
         t:2:11: key `c` comes twice; hint: it is first at line 2\n\
         t:3:1: key `a` comes twice; hint: it is first at line 1",
    );
    check("[a]: 1\n", "{}@1:1\nt:1:1: a key is text, not a list");
}

#[test]
fn the_environment_is_put_into_values_once() {
    check(
        "a: ${PORT}\nb: \"x${PORT}y${EMPTY}\"\n${PORT}: ${NESTED}\n",
        "{a@1:1: Environment 8080@1:4+7, b@2:1: Environment x8080y@2:4+19, \
         ${PORT}@3:1: Environment ${PORT}@3:10+9}@1:1",
    );
    check(
        "a: $${PORT}\nb: $PORT {x}\n",
        "{a@1:1: Environment ${PORT}@1:4+8, b@2:1: Text $PORT {x}@2:4+9}@1:1",
    );
    let hint = "hint: write `$${` for a literal `${`";
    check(
        "a: [\"${MISSING}\"]\nb: ${PORT\nc: ${}\nd: ${1A}\n",
        &format!(
            "{{a@1:1: [Unset ${{MISSING}}@1:5+12]@1:4, b@2:1: Unset ${{PORT@2:4+6, \
             c@3:1: Unset ${{}}@3:4+3, d@4:1: Unset ${{1A}}@4:4+5}}@1:1\n\
             t:1:5: environment variable `MISSING` is not set; {hint}\n\
             t:2:4: `${{` without `}}`; {hint}\n\
             t:3:4: `` is not a name of an environment variable; {hint}\n\
             t:4:4: `1A` is not a name of an environment variable; {hint}"
        ),
    );
}

#[test]
fn what_is_no_document_is_refused_with_its_place() {
    for text in ["", "  \n", "# nothing\n", "---\n", "~\n"] {
        check(text, "none\nt:1:1: the document is empty");
    }
    let refused = |text: &str, why: &str| check(text, &format!("none\nt:{why}"));
    refused("a: [1\n", "1:4: not valid YAML: unclosed bracket '['");
    refused("a: 1\n b: 2\n", "2:3: not valid YAML: mapping values are not allowed in this context");
    refused("a: !!python/x 1\n", "1:15: not valid YAML: unsupported tag `!!python/x`");
    refused("a: *nope\n", "1:4: not valid YAML: alias references unknown anchor");
    refused("a: {b: 1}}\n", "1:10: not valid YAML: misplaced bracket");
    refused("a: 1\n---\nb: 2\n", "3:1: a second document");
    refused(
        "a: [${PORT}]\n",
        "1:6: not valid YAML: while parsing a flow sequence, expected ',' or ']'; \
         hint: inside `[…]` or `{…}` quote it: `\"${NAME}\"`",
    );
}

#[test]
fn depth_and_nodes_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let mut findings = Findings::new(Path::new("t"), "");
    assert!(read(&nested(DEPTH_MAX), NODES_MAX, &mut findings).is_some());
    assert!(read(&nested(DEPTH_MAX + 1), NODES_MAX, &mut findings).is_none());
    assert!(findings.has_errors());
    let list = |length: usize| format!("[{}]", "a,".repeat(length));
    let mut findings = Findings::new(Path::new("t"), "");
    assert!(read(&list(NODES_MAX / 2), NODES_MAX, &mut findings).is_some());
    assert!(read(&list(NODES_MAX), NODES_MAX, &mut findings).is_none());
    assert!(findings.has_errors());
}

const NODES_MAX: usize = 1_000;
