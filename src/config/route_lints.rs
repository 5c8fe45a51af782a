//! Routes that are right one by one and doubtful together.
//!
//! Flows in: routes and their places. Flows out: warnings. What can't be compiled is not its matter.

use http::Method;

use crate::config::finding::Findings;
use crate::config::node::{Entry, Node};
use crate::config::reader::Table;
use crate::policy::{ConditionKey, KeyName};
use crate::route::{ContextSource, RouteSpec};

/// How one path template relates to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// No path is of both.
    Apart,
    /// Some path is of both, and neither is the more specific for all of them.
    Crossing,
    /// Each path of the first is of the second too.
    Within,
}

/// Looks at each pair of routes whose paths overlap.
pub(super) fn check(findings: &mut Findings, specs: &[RouteSpec], places: &[Table<'_>]) {
    // The pairs grow with the square; a configuration by hand stays far below.
    let specs = specs.get(..ROUTES_MAX).unwrap_or(specs);
    for (route, place) in specs.iter().zip(places) {
        check_context(findings, route, place);
        for (other, other_place) in specs.iter().zip(places) {
            let meets = methods_meet(route, other) && overlaps(&route.path, &other.path);
            if meets && route.question.is_none() && other.question.is_some() {
                let (path, other_path) = (written(place), written(other_place));
                findings.warn(
                    place.value_at("path"),
                    format!("public route `{path}` overlaps the protected `{other_path}`"),
                    overlap_hint(route, other, other_place.at.line),
                );
            }
        }
        if let Some((narrow, method)) = shadow(specs, places, route) {
            findings.warn(
                place.value_at("path"),
                format!(
                    "route `{}` is shadowed by `{}`, which does not take `{method}`",
                    written(place),
                    written(narrow)
                ),
                format!(
                    "`{method}` on paths of line {} is answered 404: list it there if it is meant",
                    narrow.at.line
                ),
            );
        }
    }
}

/// Keys that say where a request came from or what a resource is, said by whoever sends a header.
fn check_context(findings: &mut Findings, route: &RouteSpec, place: &Table<'_>) {
    let specs = route.question.iter().flat_map(|question| &question.context);
    let entries = place.get("context").map(Node::as_table).unwrap_or_default();
    for (spec, Entry { key_at, .. }) in specs.zip(entries) {
        let texts = match &spec.source {
            ContextSource::Many(texts) => texts.as_slice(),
            ContextSource::One(text) => std::slice::from_ref(text),
        };
        let is_header = texts.iter().any(|text| text.contains("{header:"));
        if is_header && is_no_clients_to_say(ConditionKey::new(&spec.key).name) {
            findings.warn(
                *key_at,
                format!("clients choose `{}`, for it comes from a header", spec.key),
                "fine only where something before crossgate sets that header and clients can't",
            );
        }
    }
}

fn is_no_clients_to_say(key: KeyName) -> bool {
    matches!(
        key,
        KeyName::CalledVia
            | KeyName::CalledViaFirst
            | KeyName::CalledViaLast
            | KeyName::ResourceTag
            | KeyName::SourceAccount
            | KeyName::SourceArn
            | KeyName::SourceOrgId
            | KeyName::SourceOrgPaths
            | KeyName::SourceVpc
            | KeyName::SourceVpce
            | KeyName::VpcSourceIp
    )
}

/// A route that takes paths of a wider one and leaves a method of it without an answer.
fn shadow<'s, 'n>(
    specs: &[RouteSpec],
    places: &'s [Table<'n>],
    wide: &RouteSpec,
) -> Option<(&'s Table<'n>, Method)> {
    specs.iter().zip(places).find_map(|(narrow, place)| {
        if !is_narrower(&narrow.path, &wide.path) {
            return None;
        }
        // Routes may share a path, apart by their methods; together they take what they take.
        let mut same = specs.iter().filter(|it| is_same(&it.path, &narrow.path));
        let taken: Option<Vec<&Method>> = same.try_fold(Vec::new(), |mut taken, it| {
            taken.extend(&it.methods);
            (!it.methods.is_empty()).then_some(taken)
        });
        // A wide route of all methods is a fall-back; that it ends where others begin is its use.
        let lost =
            wide.methods.iter().find(|it| taken.as_ref().is_some_and(|all| !all.contains(it)));
        lost.map(|method| (place, method.clone()))
    })
}

fn written<'n>(place: &Table<'n>) -> &'n str {
    place.get("path").map(Node::written).unwrap_or_default()
}

pub(super) fn is_same(a: &str, b: &str) -> bool {
    relation(a, b) == Relation::Within && relation(b, a) == Relation::Within
}

fn is_narrower(a: &str, b: &str) -> bool {
    relation(a, b) == Relation::Within && relation(b, a) != Relation::Within
}

fn overlaps(a: &str, b: &str) -> bool {
    relation(a, b) != Relation::Apart
}

fn overlap_hint(public: &RouteSpec, protected: &RouteSpec, protected_line: usize) -> String {
    if relation(&public.path, &protected.path) == Relation::Within {
        return "its paths are forwarded without a token; remove `public: true` if that is not meant"
            .to_owned();
    }
    if relation(&protected.path, &public.path) == Relation::Within {
        return format!(
            "line {protected_line} stays protected, for its path is more specific; all else is open"
        );
    }
    format!("for paths of both it is not plain which counts; part it from line {protected_line}")
}

fn methods_meet(a: &RouteSpec, b: &RouteSpec) -> bool {
    a.methods.is_empty()
        || b.methods.is_empty()
        || a.methods.iter().any(|method| b.methods.contains(method))
}

fn relation(a: &str, b: &str) -> Relation {
    let (mut left, mut right) = (a.split('/'), b.split('/'));
    let mut result = Relation::Within;
    loop {
        let (x, y) = match (left.next(), right.next()) {
            (None, None) => return result,
            (Some(x), Some(y)) => (x, y),
            (None, Some(_)) | (Some(_), None) => return Relation::Apart,
        };
        match (is_catch_all(x), is_catch_all(y)) {
            (_, true) => return result,
            (true, false) => return Relation::Crossing,
            (false, false) => {}
        }
        match (is_parameter(x), is_parameter(y)) {
            (false, false) if x != y => return Relation::Apart,
            (true, false) => result = Relation::Crossing,
            (false, _) | (true, true) => {}
        }
    }
}

/// A segment that is partly a parameter counts as one: rather a warning too many.
fn is_parameter(segment: &str) -> bool {
    segment.contains('{')
}

fn is_catch_all(segment: &str) -> bool {
    segment.starts_with("{*") && segment.ends_with('}')
}

/// The most routes whose pairs are looked at: 250,000 comparisons.
const ROUTES_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(a: &str, b: &str, expect: Relation) {
        assert_eq!(relation(a, b), expect, "{a} to {b}");
    }

    #[test]
    fn templates_are_within_crossing_or_apart() {
        check("/a", "/a", Relation::Within);
        check("/a", "/{x}", Relation::Within);
        check("/{x}", "/a", Relation::Crossing);
        check("/a/b", "/{*rest}", Relation::Within);
        check("/{*rest}", "/a/b", Relation::Crossing);
        check("/a/{x}", "/{y}/b", Relation::Crossing);
        check("/a/{*x}", "/a/{*y}", Relation::Within);
        check("/a", "/b", Relation::Apart);
        check("/a", "/a/b", Relation::Apart);
        check("/a", "/a/{*rest}", Relation::Apart);
        check("/a/{x}/c", "/a/b/{*rest}", Relation::Crossing);
    }
}
