//! cedar-policy: one policy a grant.

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request,
};

use crate::{ADDRESS, ACTION, Ask, Contestant, NETWORK, World};

pub struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    requests: Vec<[Request; 2]>,
}

impl Cedar {
    pub fn new(world: World) -> Self {
        let conditions = if world.conditions {
            format!(r#" && context.mfa && context.source.isInRange(ip("{NETWORK}"))"#)
        } else {
            String::new()
        };
        let text: String = (0..world.size)
            .map(|i| {
                format!(
                    r#"permit(principal == User::"{}", action == Action::"{ACTION}", resource) when {{ context.resource like "{}/*"{conditions} }};"#,
                    world.principal(i),
                    world.resource(i)
                ) + "\n"
            })
            .collect();
        let request = |i, ask| {
            let asked = world.asked(i, ask);
            let context = Context::from_json_value(
                serde_json::json!({
                    "resource": asked,
                    "mfa": true,
                    "source": { "__extn": { "fn": "ip", "arg": ADDRESS } },
                }),
                None,
            )
            .unwrap();
            let uid = |kind: &str, id: &str| -> EntityUid {
                format!("{kind}::{id:?}").parse().unwrap()
            };
            Request::new(
                uid("User", &world.principal(i)),
                uid("Action", ACTION),
                uid("Resource", &asked),
                context,
                None,
            )
            .unwrap()
        };
        Self {
            authorizer: Authorizer::new(),
            policies: text.parse().unwrap(),
            entities: Entities::empty(),
            requests: (0..world.size)
                .map(|i| [request(i, Ask::Own), request(i, Ask::Neighbours)])
                .collect(),
        }
    }
}

impl Contestant for Cedar {
    fn name(&self) -> &'static str {
        "cedar-policy"
    }

    fn decide(&mut self, i: usize, ask: Ask) -> bool {
        let [own, neighbours] = &self.requests[i];
        let request = if ask == Ask::Own { own } else { neighbours };
        let answer = self.authorizer.is_authorized(request, &self.policies, &self.entities);
        answer.decision() == Decision::Allow
    }
}
