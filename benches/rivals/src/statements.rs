//! iam-rs: one policy a grant, each with its principal.

use iam_rs::{
    Arn, Context, ContextValue, Decision, EvaluationOptions, IAMPolicy, IAMRequest,
    PolicyEvaluator, Principal, PrincipalId,
};

use crate::{ACTION, ADDRESS, Ask, Contestant, NETWORK, World};

pub struct Statements {
    evaluator: PolicyEvaluator,
    world: World,
    requests: Vec<IAMRequest>,
}

impl Statements {
    pub fn new(world: World) -> Self {
        let policy = |i| {
            let mut statement = serde_json::json!({
                "Effect": "Allow",
                "Principal": { "AWS": world.principal(i) },
                "Action": ACTION,
                "Resource": format!("{}/*", world.resource(i)),
            });
            if world.conditions {
                statement["Condition"] = serde_json::json!({
                    "IpAddress": { "aws:SourceIp": NETWORK },
                    "Bool": { "aws:MultiFactorAuthPresent": "true" },
                });
            }
            let document = serde_json::json!({ "Version": "2012-10-17", "Statement": [statement] });
            IAMPolicy::from_json(&document.to_string()).unwrap()
        };
        let options =
            EvaluationOptions { max_statements: usize::MAX, ..EvaluationOptions::default() };
        Self {
            evaluator: PolicyEvaluator::with_policies((0..world.size).map(policy).collect())
                .with_options(options),
            world,
            requests: Vec::new(),
        }
    }
}

impl Contestant for Statements {
    fn name(&self) -> &'static str {
        "iam-rs"
    }

    fn prepare(&mut self, i: usize, ask: Ask) {
        let mut context = Context::new();
        context.insert("aws:SourceIp".into(), ContextValue::String(ADDRESS.into()));
        context.insert("aws:MultiFactorAuthPresent".into(), ContextValue::Boolean(true));
        self.requests.push(IAMRequest::new_with_context(
            Principal::Aws(PrincipalId::String(self.world.principal(i))),
            ACTION,
            Arn::parse(&self.world.asked(i, ask)).unwrap(),
            context,
        ));
    }

    fn decide(&mut self, place: usize) -> bool {
        self.evaluator.evaluate(&self.requests[place]).unwrap().decision == Decision::Allow
    }

    fn forget(&mut self) {
        self.requests.clear();
    }
}
