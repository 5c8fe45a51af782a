//! Routes that are right one by one and doubtful together.
//!
//! Flows in: routes and their places. Flows out: warnings. What can't be compiled is not its matter.

use http::Method;

use crate::config::finding::Findings;
use crate::config::routes::RouteSpans;
use crate::route::RouteSpec;

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
pub(super) fn check(findings: &mut Findings, specs: &[RouteSpec], spans: &[RouteSpans]) {
    // The pairs grow with the square; a configuration by hand stays far below.
    let routes = || specs.iter().zip(spans).take(ROUTES_MAX);
    for (index, (route, at)) in routes().enumerate() {
        for (other_index, (other, other_at)) in routes().enumerate() {
            if index == other_index || relation(&route.path, &other.path) == Relation::Apart {
                continue;
            }
            if route.question.is_none() && other.question.is_some() && methods_meet(route, other) {
                findings.warn(
                    at.path,
                    format!("public route `{}` overlaps the protected `{}`", route.path, other.path),
                    format!(
                        "the more specific path counts; line {} is protected only where this is not \
                         more specific",
                        other_at.path.line
                    ),
                );
            }
            if relation(&route.path, &other.path) == Relation::Within
                && route.path != other.path
                && let Some(method) = method_lost(route, other)
            {
                findings.warn(
                    other_at.path,
                    format!(
                        "route `{}` is shadowed by `{}`, which does not take `{method}`",
                        other.path, route.path
                    ),
                    format!(
                        "`{method}` on paths of line {} is answered 404: list it there if it is meant",
                        at.path.line
                    ),
                );
            }
        }
    }
}

fn methods_meet(a: &RouteSpec, b: &RouteSpec) -> bool {
    a.methods.is_empty()
        || b.methods.is_empty()
        || a.methods.iter().any(|method| b.methods.contains(method))
}

/// A method that the wider route takes and the narrower one, which has its paths, does not.
fn method_lost<'a>(narrow: &RouteSpec, wide: &'a RouteSpec) -> Option<&'a Method> {
    if narrow.methods.is_empty() {
        return None;
    }
    // A wide route of all methods is a fall-back; that it ends where others begin is its purpose.
    wide.methods.iter().find(|method| !narrow.methods.contains(method))
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

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}')
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
