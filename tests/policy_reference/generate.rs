//! Random policy sets and requests that collide often: few names, values near each other.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::words;

/// Policies and the requests that are asked of them, in the shape of scenarios.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) policies: Value,
    pub(crate) requests: Vec<Value>,
}

/// As many requests are asked of each set.
pub(crate) const REQUESTS: usize = 50;

/// What the resources of a set are; it decides what their policies may say.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Ordinary,
    Trust,
    Key,
}

/// Makes a set; the same seed makes the same set.
pub(crate) fn set(seed: u64) -> Set {
    let mut maker = Maker { rng: Rng::with_seed(seed), kind: Kind::Ordinary, policies: 0 };
    maker.kind = match maker.rng.u32(..10) {
        0..6 => Kind::Ordinary,
        6..8 => Kind::Trust,
        _ => Kind::Key,
    };
    let policies = maker.policies();
    let requests = (0..REQUESTS).map(|_| maker.request()).collect();
    Set { policies, requests }
}

struct Maker {
    rng: Rng,
    kind: Kind,
    /// How many policies have names.
    policies: usize,
}

impl Maker {
    fn percent(&mut self, percent: u32) -> bool {
        self.rng.u32(..100) < percent
    }

    fn one<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.rng.usize(..words.len())]
    }

    /// One word, or a list of a few.
    fn some(&mut self, mut word: impl FnMut(&mut Self) -> Value) -> Value {
        if self.percent(60) {
            return word(self);
        }
        let many = self.rng.usize(1..4);
        (0..many).map(|_| word(self)).collect()
    }

    fn policies(&mut self) -> Value {
        let (boundary, session) = (self.percent(25), self.percent(25));
        let (endpoint, key) = (self.percent(15), self.kind == Kind::Ordinary && self.percent(20));
        let identities = self.rng.usize(..4);
        let large = self.percent(8);
        let mut identity: Vec<Value> = (0..identities).map(|_| self.named("identity")).collect();
        if large {
            let document = self.large_document();
            identity.push(self.name(&document));
        }
        let resource = self.percent(70).then(|| {
            let of = match self.kind {
                Kind::Trust => "trust",
                Kind::Ordinary | Kind::Key => "resource",
            };
            self.document(of)
        });
        let list = |maker: &mut Self, is: bool, of| is.then(|| maker.few(of));
        json!({
            "identity": identity,
            "resource": resource,
            "boundary": list(self, boundary, "boundary"),
            "session": list(self, session, "session"),
            "endpoint": list(self, endpoint, "endpoint"),
            "scp": self.levels("scp", 35),
            "rcp": self.levels("rcp", 25),
            "key": key.then(|| self.key()),
        })
    }

    fn few(&mut self, of: &str) -> Value {
        let many = if self.percent(5) { 0 } else { self.rng.usize(1..3) };
        (0..many).map(|_| self.named(of)).collect()
    }

    fn levels(&mut self, of: &str, percent: u32) -> Value {
        let levels = if self.percent(percent) { self.rng.usize(1..4) } else { 0 };
        let level = |maker: &mut Self, n| {
            let mut policies = Vec::new();
            if maker.percent(85) {
                let mut all = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
                if of == "rcp" {
                    all["Principal"] = json!("*");
                }
                policies.push(maker.name(&json!({ "Version": "2012-10-17", "Statement": [all] })));
            }
            if maker.percent(if of == "rcp" { 25 } else { 45 }) {
                policies.push(maker.named(of));
            }
            json!({ "target": format!("level-{n}"), "policies": policies })
        };
        (0..levels).map(|n| level(self, n)).collect()
    }

    fn key(&mut self) -> Value {
        let account = self.one(&words::ACCOUNTS[..2]);
        let kind = std::mem::replace(&mut self.kind, Kind::Key);
        let document = self.percent(95).then(|| self.document("resource"));
        self.kind = kind;
        json!({
            "arn": format!("arn:aws:kms:eu-west-1:{account}:key/k"),
            "account": account,
            "action": self.one(&["kms:Decrypt", "kms:Encrypt"]),
            "document": document,
        })
    }

    fn named(&mut self, of: &str) -> Value {
        let document = self.document(of);
        self.name(&document)
    }

    fn name(&mut self, document: &Value) -> Value {
        self.policies += 1;
        json!({ "name": format!("p{}", self.policies), "document": document })
    }

    fn document(&mut self, of: &str) -> Value {
        let many = self.rng.usize(1..4);
        let statements: Vec<Value> = (0..many).map(|_| self.statement(of)).collect();
        let mut document = json!({ "Version": "2012-10-17", "Statement": statements });
        // Without variables, a Bool's `${…}` is an error.
        if self.percent(10) && !document.to_string().to_lowercase().contains("bool") {
            document["Version"] = json!("2008-10-17");
        }
        document
    }

    /// Many narrow statements, so that the engine looks them up and does not try them all.
    fn large_document(&mut self) -> Value {
        let many = self.rng.usize(30..60);
        let statement = |maker: &mut Self| {
            let mut statement = maker.statement("identity");
            statement.as_object_mut().unwrap().remove("NotAction");
            statement["Action"] = match maker.rng.u32(..4) {
                0 => maker.action_pattern().into(),
                1 => maker.action().into(),
                _ => format!("s3:Do{}", maker.rng.u32(..40)).into(),
            };
            if statement["Action"] == "*" && maker.percent(90) {
                statement["Action"] = "sqs:*".into();
            }
            statement
        };
        let statements: Vec<Value> = (0..many).map(|_| statement(self)).collect();
        json!({ "Version": "2012-10-17", "Statement": statements })
    }

    fn statement(&mut self, of: &str) -> Value {
        let guards = ["boundary", "session", "endpoint", "scp", "rcp"].contains(&of);
        let mut statement = Map::new();
        // What an RCP allows is everything, or nothing.
        let denies = of == "rcp" || self.percent(if guards { 12 } else { 15 });
        statement.insert("Effect".into(), if denies { "Deny" } else { "Allow" }.into());
        match of {
            "rcp" => _ = statement.insert("Principal".into(), "*".into()),
            "resource" | "trust" | "endpoint" => {
                let not = of == "resource" && self.percent(10);
                let name = if not { "NotPrincipal" } else { "Principal" };
                let everyone = of == "endpoint" && self.percent(50);
                let element = if everyone { "*".into() } else { self.principals() };
                statement.insert(name.into(), element);
            }
            _ => {}
        }
        let not = of != "rcp" && self.percent(10);
        let actions = if guards && !denies && self.percent(50) {
            "*".into()
        } else {
            // A trust policy is about `sts` only.
            let is_trust = of == "trust";
            self.some(|maker| {
                let words = &words::TRUST_ACTION_PATTERNS;
                if is_trust { maker.one(words).into() } else { maker.action_pattern().into() }
            })
        };
        statement.insert(if not { "NotAction" } else { "Action" }.into(), actions);
        if of != "trust" {
            let not = self.percent(10);
            let resources = if not || self.percent(50) {
                self.some(|maker| maker.resource_pattern().into())
            } else {
                "*".into()
            };
            statement.insert(if not { "NotResource" } else { "Resource" }.into(), resources);
        }
        let conditions = [0, 0, 0, 0, 0, 1, 1, 1, 2][self.rng.usize(..9)];
        if conditions > 0 {
            statement.insert("Condition".into(), self.conditions(conditions));
        }
        Value::Object(statement)
    }

    fn principals(&mut self) -> Value {
        if self.percent(15) {
            return "*".into();
        }
        let mut element = Map::new();
        let names = ["AWS", "AWS", "AWS", "AWS", "Service", "Federated", "CanonicalUser"];
        for _ in 0..self.rng.usize(1..3) {
            let name = self.one(&names);
            let pool = match name {
                "AWS" => &words::AWS_ENTRIES[..],
                "Service" => &words::SERVICES[..],
                "Federated" => &words::PROVIDERS[..],
                _ => &["79a59df900b949e5"],
            };
            let entries = self.some(|maker| maker.one(pool).into());
            element.insert(name.into(), entries);
        }
        Value::Object(element)
    }

    fn action(&mut self) -> &'static str {
        match self.kind {
            Kind::Ordinary => self.one(&words::ACTIONS),
            Kind::Trust => self.one(&words::TRUST_ACTIONS),
            Kind::Key => self.one(&words::KEY_ACTIONS),
        }
    }

    fn action_pattern(&mut self) -> &'static str {
        if self.percent(20) {
            return "*";
        }
        match self.kind {
            Kind::Ordinary => self.one(&words::ACTION_PATTERNS),
            Kind::Trust => self.one(&words::TRUST_ACTION_PATTERNS),
            Kind::Key => self.one(&words::KEY_ACTION_PATTERNS),
        }
    }

    fn resource(&mut self) -> &'static str {
        match self.kind {
            Kind::Ordinary => self.one(&words::RESOURCES),
            Kind::Trust => self.one(&words::ROLES),
            Kind::Key => self.one(&words::KEYS),
        }
    }

    fn resource_pattern(&mut self) -> &'static str {
        match self.rng.u32(..10) {
            0 => "*",
            1..4 => self.resource(),
            _ => match self.kind {
                Kind::Ordinary => self.one(&words::RESOURCE_PATTERNS),
                Kind::Trust => self.one(&words::ROLE_PATTERNS),
                Kind::Key => self.one(&words::KEY_PATTERNS),
            },
        }
    }

    fn conditions(&mut self, many: usize) -> Value {
        let mut condition = Map::new();
        for _ in 0..many {
            let family = &words::FAMILIES[self.rng.usize(..words::FAMILIES.len())];
            let operator = self.operator(family);
            let key = match self.rng.u32(..10) {
                0 => words::FAMILIES[self.rng.usize(..words::FAMILIES.len())].keys[0],
                _ => self.one(family.keys),
            };
            let values = self.some(|maker| maker.one(family.policy_values).into());
            let keys = condition.entry(operator).or_insert_with(|| json!({}));
            keys[key] = values;
        }
        Value::Object(condition)
    }

    fn operator(&mut self, family: &words::Family) -> String {
        let name = self.one(family.operators);
        if name == "Null" {
            return name.to_owned();
        }
        let set = match self.rng.u32(..10) {
            0..2 => "ForAllValues:",
            2..4 => "ForAnyValue:",
            _ => "",
        };
        let if_exists = if self.percent(15) { "IfExists" } else { "" };
        let operator = format!("{set}{name}{if_exists}");
        if self.percent(3) { operator.to_lowercase() } else { operator }
    }

    fn request(&mut self) -> Value {
        let (arn, action) = loop {
            let (arn, action) = (self.resource(), self.action());
            // What asks `sts` about a role asks its trust policy.
            let is_trust = arn.contains(":role/") && action.starts_with("sts:");
            if is_trust == (self.kind == Kind::Trust) {
                break (arn, action);
            }
        };
        let owner = match self.rng.u32(..100) {
            0..65 => Some(words::ACCOUNTS[0]),
            65..90 => Some(words::ACCOUNTS[1]),
            90..97 => Some(words::ACCOUNTS[2]),
            _ => None,
        };
        let also = if self.percent(10) {
            let many = self.rng.usize(1..3);
            (0..many).map(|_| self.also_action(arn)).collect()
        } else {
            Vec::new()
        };
        let context = self.context();
        let multivalued = if self.percent(80) { vec!["aws:TagKeys"] } else { Vec::new() };
        json!({
            "principal": self.principal(),
            "action": action,
            "resource": { "arn": arn, "account": owner },
            "context": context,
            "multivalued": multivalued,
            "also_actions": also,
        })
    }

    fn also_action(&mut self, arn: &str) -> &'static str {
        loop {
            let action = self.action();
            if action == "sts:GetCallerIdentity" {
                continue;
            }
            let is_trust = arn.contains(":role/") && action.starts_with("sts:");
            if is_trust == (self.kind == Kind::Trust) {
                return action;
            }
        }
    }

    fn principal(&mut self) -> Value {
        match self.rng.u32(..100) {
            0..86 => {
                let arn = self.one(&words::CALLERS);
                json!({ "arn": arn, "account": arn.split(':').nth(4) })
            }
            86..90 => json!({ "type": "anonymous", "arn": null, "account": null }),
            90..95 => {
                json!({ "type": "service", "arn": self.one(&words::SERVICES), "account": null })
            }
            _ => {
                json!({ "type": "web-identity", "arn": self.one(&words::PROVIDERS), "account": null })
            }
        }
    }

    fn context(&mut self) -> Value {
        let mut context = Map::new();
        for family in &words::FAMILIES {
            for key in family.keys {
                if !self.percent(65) {
                    continue;
                }
                let many = match self.rng.u32(..20) {
                    0 => 0,
                    1..4 => 2,
                    _ => 1,
                };
                let values = (0..many).map(|_| self.one(family.request_values).into());
                let values: Vec<Value> = values.collect();
                context.insert((*key).into(), values.into());
            }
        }
        Value::Object(context)
    }
}
