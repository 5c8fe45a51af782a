//! `Action`: what is asked to be done.

/// An action of a request: `service:Name`, compared without regard to letter case.
///
/// ```
/// use crossgate::iam::Action;
///
/// let action = Action::parse("s3:GetObject").unwrap();
/// assert_eq!((action.as_str(), action.service(), action.name()), ("s3:GetObject", "s3", "getobject"));
/// assert!(Action::parse("GetObject").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    text: Box<str>,
    lower: Box<str>,
    service_len: usize,
}

impl Action {
    /// Parses an action; `None` without exactly one `:`, or with an empty part.
    pub fn parse(text: &str) -> Option<Self> {
        let (service, name) = text.split_once(':')?;
        if service.is_empty() || name.is_empty() || name.contains(':') {
            return None;
        }
        Some(Self {
            text: text.into(),
            lower: text.to_ascii_lowercase().into(),
            service_len: service.len(),
        })
    }

    /// The action as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The whole action in lower case.
    pub fn lower(&self) -> &str {
        &self.lower
    }

    /// The service in lower case.
    pub fn service(&self) -> &str {
        self.lower.get(..self.service_len).unwrap_or_default()
    }

    /// The name in lower case.
    pub fn name(&self) -> &str {
        self.lower.get(self.service_len + 1..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_has_a_service_and_a_name() {
        for text in ["", "s3", ":", "s3:", ":Get", "s3:Get:Object", "*"] {
            assert_eq!(Action::parse(text), None, "{text}");
        }
    }
}
