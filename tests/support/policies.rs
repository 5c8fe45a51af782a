//! A policy directory, built as its files are written: what AWS's own tools print, and a file for
//! each resource and key.

use serde_json::{Value, json};

use super::gate::Config;

/// The files of a policy directory.
#[derive(Clone, Default)]
pub struct Policies {
    /// Users by account, with statements and tags.
    users: Vec<(String, Value)>,
    files: Vec<(String, Value)>,
}

impl Policies {
    pub fn new() -> Self {
        Self::default()
    }

    /// A user of an account with one inline policy, `<name>-policy`, of these statements.
    pub fn user(self, account: &str, name: &str, statements: &[Value]) -> Self {
        self.tagged_user(account, name, statements, &json!({}))
    }

    /// A user with tags.
    pub fn tagged_user(
        mut self,
        account: &str,
        name: &str,
        statements: &[Value],
        tags: &Value,
    ) -> Self {
        let tags = tags.as_object().unwrap().iter();
        let tags: Vec<Value> =
            tags.map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        let mut inline = Vec::new();
        if !statements.is_empty() {
            inline.push(json!({
                "PolicyName": format!("{name}-policy"), "PolicyDocument": document(statements),
            }));
        }
        let user = json!({
            "Path": "/", "UserName": name, "UserId": format!("AIDA{}", self.users.len()),
            "Arn": format!("arn:aws:iam::{account}:user/{name}"),
            "CreateDate": "2025-01-01T00:00:00+00:00", "UserPolicyList": inline,
            "GroupList": [], "AttachedManagedPolicies": [], "Tags": tags,
        });
        self.users.push((account.to_owned(), user));
        self
    }

    /// A resource of an account; `more` is its policy, key and tags.
    pub fn resource(mut self, account: &str, file: &str, resource: &str, more: &Value) -> Self {
        let mut entry = json!({ "resource": resource });
        for (key, value) in more.as_object().unwrap() {
            entry[key] = value.clone();
        }
        self.files.push((format!("accounts/{account}/resources/{file}.json"), entry));
        self
    }

    /// A key of an account.
    pub fn key(mut self, account: &str, arn: &str, statements: &[Value]) -> Self {
        let entry = json!({ "key": arn, "policy": document(statements) });
        let file = format!("accounts/{account}/keys/key-{}.json", self.files.len());
        self.files.push((file, entry));
        self
    }

    /// A trusted profile of an account.
    pub fn profile(mut self, account: &str, id: &str, iam_id: &str, statements: &[Value]) -> Self {
        let entry = json!({
            "id": id, "name": "a profile", "trusted": [{ "iam_id": iam_id }],
            "policies": [document(statements)],
        });
        self.files.push((format!("accounts/{account}/profiles/{id}.json"), entry));
        self
    }

    /// Any other file of the directory.
    pub fn file(mut self, name: &str, content: Value) -> Self {
        self.files.push((name.to_owned(), content));
        self
    }

    /// The configuration with this directory; `options` are the further keys of `policies`.
    pub fn of(self, config: Config, options: &str) -> Config {
        let section = format!("{{ directory: policies, {options} }}");
        self.within(config.set("policies", section), "policies")
    }

    /// The same with this directory as the candidate.
    pub fn proposed(self, config: Config) -> Config {
        self.within(config, "policies/candidate")
    }

    fn within(self, mut config: Config, directory: &str) -> Config {
        let mut accounts: Vec<&str> =
            self.users.iter().map(|(account, _)| account.as_str()).collect();
        accounts.sort_unstable();
        accounts.dedup();
        for account in accounts {
            let of_account = self.users.iter().filter(|(owner, _)| owner == account);
            let users: Vec<&Value> = of_account.map(|(_, user)| user).collect();
            let details = json!({
                "UserDetailList": users, "GroupDetailList": [], "RoleDetailList": [],
                "Policies": [],
            });
            let name = format!("{directory}/accounts/{account}/authorization-details.json");
            config = config.file(&name, details.to_string());
        }
        for (name, content) in self.files {
            config = config.file(&format!("{directory}/{name}"), content.to_string());
        }
        config
    }
}

/// A policy of these statements.
pub fn document(statements: &[Value]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}
