//! `AuthzRequest`: what is asked.

use std::net::IpAddr;

use crate::iam::AccountId;

/// A request as the decision sees it, borrowed from the request head.
#[derive(Clone, Copy, Debug)]
pub struct AuthzRequest<'a> {
    /// The action, as `service:Action`.
    pub action: &'a str,
    /// The resource, as an ARN.
    pub resource: &'a str,
    /// The account that owns the resource; its setting applies.
    pub owner: AccountId,
    /// The client's address, after what trusted proxies said.
    pub source_ip: IpAddr,
}
