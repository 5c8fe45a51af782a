//! What the policies of all sides make together (facts: section 4).

use std::collections::BTreeSet;

use super::documents::{Policy, Question};
use super::principals::{Kind, Match};
use super::scenario::{KeyGate, Policies, Request, ResourceKind, kind};

/// The reference's answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) decision: &'static str,
    pub(crate) layer: &'static str,
    /// In the order of [`SIDES`].
    pub(crate) missing: Vec<&'static str>,
    /// All statements that deny, or all that grant, by policy and place.
    pub(crate) statements: BTreeSet<(String, usize)>,
}

/// The sides that may lack a grant, in the order in which they are told.
const SIDES: [&str; 9] = [
    "caller identity policy",
    "resource policy",
    "key policy",
    "trust policy",
    "SCP",
    "RCP",
    "boundary",
    "session policy",
    "endpoint policy",
];

/// One action on one resource, and what applies to it.
struct Ask<'a> {
    request: &'a Request,
    policies: &'a Policies,
    action: &'a str,
    resource: &'a str,
    owner: Option<&'a str>,
    resource_policy: Option<&'a Policy>,
    rcp: &'a [Vec<Policy>],
    endpoint: Option<&'a [Policy]>,
}

/// The answer for one action on one resource: its layers in order, each with what is missing.
struct Verdict {
    decision: &'static str,
    layer: &'static str,
    missing: BTreeSet<&'static str>,
    statements: BTreeSet<(String, usize)>,
}

/// Answers a request. All of its actions must be allowed: the worst counts, the first of equals.
pub(crate) fn decide(request: &Request, policies: &Policies) -> Answer {
    let mut worst: Option<Verdict> = None;
    for (n, action) in request.actions.iter().enumerate() {
        let mut verdict = ask_resource(request, policies, action);
        if let (0, Some(key)) = (n, &policies.key) {
            verdict = both(verdict, ask_key(request, policies, key));
        }
        let is_worse =
            worst.as_ref().is_none_or(|worst| rank(worst.decision) < rank(verdict.decision));
        if is_worse {
            worst = Some(verdict);
        }
    }
    let Verdict { decision, layer, missing, statements } = worst.unwrap();
    let missing = SIDES.into_iter().filter(|side| missing.contains(side)).collect();
    Answer { decision, layer, missing, statements }
}

fn rank(decision: &str) -> usize {
    ["allow", "implicit_deny", "explicit_deny"].iter().position(|it| *it == decision).unwrap()
}

fn ask_resource(request: &Request, policies: &Policies, action: &str) -> Verdict {
    ask(&Ask {
        request,
        policies,
        action,
        resource: &request.resource,
        owner: owner(request),
        resource_policy: policies.resource.as_ref(),
        rcp: &policies.rcp,
        endpoint: policies.endpoint.as_deref(),
    })
}

/// The key is a second question by the same caller. It came through no endpoint, and RCPs are of
/// the account of the resource.
fn ask_key(request: &Request, policies: &Policies, key: &KeyGate) -> Verdict {
    let is_same_account = owner(request) == Some(&key.account);
    ask(&Ask {
        request,
        policies,
        action: &key.action,
        resource: &key.arn,
        owner: Some(&key.account),
        resource_policy: key.policy.as_ref(),
        rcp: if is_same_account { &policies.rcp } else { &[] },
        endpoint: None,
    })
}

/// A resource without an owner is the caller's own.
fn owner(request: &Request) -> Option<&str> {
    request.owner.as_deref().or(request.caller.account.as_deref())
}

/// Both the resource and its key must allow.
fn both(main: Verdict, key: Verdict) -> Verdict {
    match (main.decision, key.decision) {
        ("explicit_deny", "explicit_deny") => {
            let statements = main.statements.union(&key.statements).cloned().collect();
            Verdict { statements, ..main }
        }
        ("explicit_deny", _) => main,
        (_, "explicit_deny") => key,
        ("implicit_deny", _) => {
            let missing = main.missing.union(&key.missing).copied().collect();
            Verdict { missing, ..main }
        }
        (_, "implicit_deny") => Verdict { layer: "key", ..key },
        _ => {
            let statements = main.statements.union(&key.statements).cloned().collect();
            Verdict { statements, ..main }
        }
    }
}

/// Facts, section 4.1.
fn ask(ask: &Ask<'_>) -> Verdict {
    let caller = &ask.request.caller;
    // Section 5.1: nobody needs a permission to ask who they are, and nothing denies it.
    let has_credentials = !matches!(caller.kind, Kind::Anonymous | Kind::WebIdentity);
    let is_free = ["sts:getcalleridentity", "sts:getsessiontoken"].contains(&ask.action);
    if is_free && has_credentials {
        let (missing, statements) = (BTreeSet::new(), BTreeSet::new());
        return Verdict { decision: "allow", layer: "identity", missing, statements };
    }
    if let Some(denied) = explicit_deny(ask) {
        return denied;
    }
    let (rcp, scp) = (guardrails_allow(ask, "rcp"), guardrails_allow(ask, "scp"));
    let (layer, sides) = sides(ask);
    let endpoint = ask.endpoint.is_none_or(|policies| allows(ask, policies));
    let mut missing: Vec<(&'static str, &'static str)> = Vec::new();
    missing.extend((!rcp).then_some(("rcp", "RCP")));
    missing.extend((!scp).then_some(("scp", "SCP")));
    missing.extend(sides);
    missing.extend((!endpoint).then_some(("endpoint", "endpoint policy")));
    match missing.first() {
        None => Verdict {
            decision: "allow",
            layer,
            missing: BTreeSet::new(),
            statements: granting(ask, layer),
        },
        Some((first, _)) => Verdict {
            decision: "implicit_deny",
            layer: first,
            missing: missing.iter().map(|(_, side)| *side).collect(),
            statements: BTreeSet::new(),
        },
    }
}

/// Step 1: any Deny in any policy that applies. The first layer names the answer.
fn explicit_deny(ask: &Ask<'_>) -> Option<Verdict> {
    let mut first = None;
    let mut statements = BTreeSet::new();
    for (layer, policies) in applicable(ask) {
        let denying = matching(ask, &policies, true);
        if !denying.is_empty() && first.is_none() {
            first = Some(layer);
        }
        statements.extend(denying.into_iter().map(|(name, index, _)| (name, index)));
    }
    let layer = first?;
    Some(Verdict { decision: "explicit_deny", layer, missing: BTreeSet::new(), statements })
}

/// Every policy that applies to the question, in the order in which a Deny is told.
fn applicable<'a>(ask: &'a Ask<'a>) -> Vec<(&'static str, Vec<&'a Policy>)> {
    let policies = ask.policies;
    let mut layers = Vec::new();
    if has_scps(ask) {
        layers.push(("scp", policies.scp.iter().flatten().collect()));
    }
    if has_rcps(ask) {
        layers.push(("rcp", ask.rcp.iter().flatten().collect()));
    }
    layers.push((resource_layer(ask).0, ask.resource_policy.into_iter().collect()));
    // Anonymous callers, services and web identities have no policies of their own, nor has root:
    // section 4.4 lists what can deny it.
    let kind = ask.request.caller.kind;
    if kind.has_account() && kind != Kind::Root {
        layers.push(("identity", policies.identity.iter().collect()));
        layers.push(("boundary", boundary(ask).unwrap_or_default().iter().collect()));
        layers.push(("session", policies.session.iter().flatten().collect()));
    }
    layers.push(("endpoint", ask.endpoint.unwrap_or_default().iter().collect()));
    layers
}

/// Section 4.5: every level must hold a matching Allow.
fn guardrails_allow(ask: &Ask<'_>, which: &str) -> bool {
    let levels = match which {
        "scp" if has_scps(ask) => &ask.policies.scp[..],
        "rcp" if has_rcps(ask) => ask.rcp,
        _ => return true,
    };
    levels.iter().all(|level| allows(ask, level))
}

/// Section 4.4.
fn has_scps(ask: &Ask<'_>) -> bool {
    let caller = &ask.request.caller;
    caller.kind.has_account() && !caller.is_service_linked_role()
}

/// Section 4.4.
fn has_rcps(ask: &Ask<'_>) -> bool {
    !ask.request.caller.is_service_linked_role()
}

/// Which layer would allow, and the sides that lack a grant, each with its layer. Sections 4.2,
/// 4.3, 5 and 6.
fn sides(ask: &Ask<'_>) -> (&'static str, Vec<(&'static str, &'static str)>) {
    let caller = &ask.request.caller;
    let of_resource = resource_layer(ask);
    let granted = resource_match(ask);
    if !caller.kind.has_account() {
        let lacks = if granted == Some(Match::Direct) { Vec::new() } else { vec![of_resource] };
        return (of_resource.0, lacks);
    }
    let lacks_identity = (!identity(ask)).then_some(("identity", SIDES[0]));
    let lacks_boundary = boundary(ask)
        .is_some_and(|policies| !allows(ask, policies))
        .then_some(("boundary", "boundary"));
    let lacks_session = (!session(ask)).then_some(("session", "session policy"));
    let limits = || lacks_boundary.into_iter().chain(lacks_session).collect::<Vec<_>>();
    let all = || lacks_identity.into_iter().chain(limits()).collect::<Vec<_>>();
    let is_same_account = caller.account.as_deref() == ask.owner;
    let needs_resource = resource_kind(ask) != ResourceKind::Ordinary;
    match (is_same_account, granted) {
        (true, Some(Match::Direct)) => (of_resource.0, Vec::new()),
        (true, Some(Match::Session)) => (of_resource.0, limits()),
        // A role is assumed, and a key used, only if their policy says so.
        (true, None) if needs_resource => (of_resource.0, vec![of_resource]),
        (true, Some(Match::Account) | None) => ("identity", all()),
        (false, Some(_)) => (of_resource.0, all()),
        (false, None) => (of_resource.0, std::iter::once(of_resource).chain(all()).collect()),
    }
}

/// Whether identity policies allow. Root has none and needs none.
fn identity(ask: &Ask<'_>) -> bool {
    ask.request.caller.kind == Kind::Root || allows(ask, &ask.policies.identity)
}

/// The boundary; root can't have one, nor who is of no account.
fn boundary<'a>(ask: &Ask<'a>) -> Option<&'a [Policy]> {
    let kind = ask.request.caller.kind;
    ask.policies.boundary.as_deref().filter(|_| kind.has_account() && kind != Kind::Root)
}

/// Whether the session policies allow. A federated user has no permissions without them.
fn session(ask: &Ask<'_>) -> bool {
    match (&ask.policies.session, ask.request.caller.kind) {
        (_, Kind::Root) => true,
        (Some(policies), _) => allows(ask, policies),
        (None, kind) => kind != Kind::FederatedUser,
    }
}

/// The strongest way in which the resource's policy grants.
fn resource_match(ask: &Ask<'_>) -> Option<Match> {
    let policies: Vec<&Policy> = ask.resource_policy.into_iter().collect();
    let mut strongest = None;
    for (_, _, by) in matching(ask, &policies, false) {
        if strongest < Some(by) {
            strongest = Some(by);
        }
    }
    strongest
}

fn resource_kind(ask: &Ask<'_>) -> ResourceKind {
    kind(ask.action, ask.resource)
}

/// The layer and the side of the resource's policy.
fn resource_layer(ask: &Ask<'_>) -> (&'static str, &'static str) {
    match resource_kind(ask) {
        ResourceKind::Ordinary => ("resource", "resource policy"),
        ResourceKind::Trust => ("trust", "trust policy"),
        ResourceKind::Key => ("key", "key policy"),
    }
}

/// Whether one of the policies has a matching Allow, by any kind of match.
fn allows(ask: &Ask<'_>, policies: &[Policy]) -> bool {
    let policies: Vec<&Policy> = policies.iter().collect();
    !matching(ask, &policies, false).is_empty()
}

/// The Allow statements of the sides that grant: guardrails and limits do not. A side that was not
/// needed is not named.
fn granting(ask: &Ask<'_>, layer: &str) -> BTreeSet<(String, usize)> {
    let caller = &ask.request.caller;
    let is_cross_account = caller.kind.has_account() && caller.account.as_deref() != ask.owner;
    let mut statements = BTreeSet::new();
    for (of, policies) in applicable(ask) {
        let is_resource = of == resource_layer(ask).0 && of == layer;
        let is_identity =
            of == "identity" && caller.kind != Kind::Root && (of == layer || is_cross_account);
        for (name, index, by) in matching(ask, &policies, false) {
            // What means the caller in the strongest way is told.
            if is_identity || (is_resource && Some(by) == resource_match(ask)) {
                statements.insert((name, index));
            }
        }
    }
    statements
}

/// The matching statements of one effect: policy, place, and how they mean the caller.
fn matching(ask: &Ask<'_>, policies: &[&Policy], denies: bool) -> Vec<(String, usize, Match)> {
    let question = Question {
        caller: &ask.request.caller,
        has_boundary: boundary(ask).is_some(),
        action: ask.action,
        resource: ask.resource,
        context: &ask.request.context,
    };
    let mut matching = Vec::new();
    for policy in policies {
        for (index, statement) in policy.statements.iter().enumerate() {
            if statement.denies != denies {
                continue;
            }
            if let Some(by) = statement.matches(&question) {
                matching.push((policy.name.clone(), index, by));
            }
        }
    }
    matching
}
