//! cedar-policy: one policy a grant.

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};

use crate::{ACTION, ADDRESS, Ask, Contestant, NETWORK, World};

pub struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    world: World,
    requests: Vec<Request>,
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
        Self {
            authorizer: Authorizer::new(),
            policies: text.parse().unwrap(),
            entities: Entities::empty(),
            world,
            requests: Vec::new(),
        }
    }
}

impl Contestant for Cedar {
    fn name(&self) -> &'static str {
        "cedar-policy"
    }

    fn prepare(&mut self, i: usize, ask: Ask) {
        let asked = self.world.asked(i, ask);
        let context = serde_json::json!({
            "resource": asked,
            "mfa": true,
            "source": { "__extn": { "fn": "ip", "arg": ADDRESS } },
        });
        let context = Context::from_json_value(context, None).unwrap();
        let uid =
            |kind: &str, id: &str| -> EntityUid { format!("{kind}::{id:?}").parse().unwrap() };
        let (user, action) = (uid("User", &self.world.principal(i)), uid("Action", ACTION));
        let request = Request::new(user, action, uid("Resource", &asked), context, None).unwrap();
        self.requests.push(request);
    }

    fn decide(&mut self, place: usize) -> bool {
        let request = &self.requests[place];
        let answer = self.authorizer.is_authorized(request, &self.policies, &self.entities);
        answer.decision() == Decision::Allow
    }

    fn forget(&mut self) {
        self.requests.clear();
    }
}
