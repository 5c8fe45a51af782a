//! `AuthzRequest`: what is asked, and what is known of the asking.

use std::net::IpAddr;
use std::ops::Range;

use crate::iam::{AccountId, Action};

/// A request as the decision sees it, borrowed from the request head and its route.
#[derive(Clone, Copy, Debug)]
pub struct AuthzRequest<'a> {
    /// The action.
    pub action: &'a Action,
    /// What is done with the key that the resource is encrypted with, if there is one.
    pub key_action: Option<&'a Action>,
    /// The resource: an ARN, or `*` where the action has none.
    pub resource: &'a str,
    /// The account that owns the resource; its setting applies.
    pub owner: AccountId,
    /// The condition keys that the route gives values to.
    pub context: RouteContext<'a>,
    /// Where the request came from.
    pub origin: RequestOrigin<'a>,
}

/// Where a request came from, after what trusted proxies said.
#[derive(Clone, Copy, Debug)]
pub struct RequestOrigin<'a> {
    /// The client's address.
    pub source_ip: IpAddr,
    /// How the client sent it.
    pub transport: Transport,
    /// The client's `user-agent`, unchecked; `None` if it is absent, repeated or no text.
    pub user_agent: Option<&'a str>,
    /// The client's `referer`, as `user_agent`.
    pub referer: Option<&'a str>,
}

/// Whether a request was protected on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By nothing.
    Plain,
    /// By TLS.
    Tls,
}

/// The values that a route gives to condition keys, for one request.
#[derive(Clone, Copy, Debug)]
pub struct RouteContext<'a> {
    keys: &'a [RouteKey],
    values: &'a RouteValues,
}

/// A condition key that a route gives values to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteKey {
    /// The key in lower case.
    pub key: Box<str>,
    /// The values of a key with several that are the same for every request; else empty.
    pub fixed: Box<[Box<str>]>,
    /// Whether events may tell its values.
    pub recording: Recording,
}

/// Whether events may tell a key's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// They may.
    Told,
    /// They may be secrets, so that events tell the key alone.
    Withheld,
}

/// A route's value or values for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteValue<'a> {
    /// The key has a single value.
    One(&'a str),
    /// The key may have several values, and has these.
    Many(&'a [Box<str>]),
}

/// One request's values for a route's keys, in the order of the keys. Cleared and filled again for
/// each request, so that its room is made once.
#[derive(Debug, Default)]
pub struct RouteValues {
    text: String,
    list: Vec<Box<str>>,
    places: Vec<Place>,
}

#[derive(Clone, Debug)]
enum Place {
    Absent,
    Fixed,
    Many(Range<usize>),
    One(Range<usize>),
}

impl<'a> RouteContext<'a> {
    /// The context of a route that gives no values.
    pub const NONE: Self = Self { keys: &[], values: &NO_VALUES };

    /// The context of a route with these keys and a request's values for them, in the same order.
    pub fn new(keys: &'a [RouteKey], values: &'a RouteValues) -> Self {
        Self { keys, values }
    }

    /// The value of a key, in lower case; no allocation.
    pub fn get(&self, key: &str) -> Option<RouteValue<'a>> {
        let index = self.keys.iter().position(|known| *known.key == *key)?;
        self.value(self.keys.get(index)?, self.values.places.get(index)?)
    }

    /// The keys that have a value, with it; no allocation.
    pub fn iter(&self) -> impl Iterator<Item = (&'a RouteKey, RouteValue<'a>)> {
        let (keys, places, context) = (self.keys, &self.values.places, *self);
        let pairs = keys.iter().zip(places);
        pairs.filter_map(move |(key, place)| Some((key, context.value(key, place)?)))
    }

    fn value(&self, key: &'a RouteKey, place: &Place) -> Option<RouteValue<'a>> {
        match place {
            Place::Absent => None,
            Place::Fixed => Some(RouteValue::Many(&key.fixed)),
            Place::Many(range) => self.values.list.get(range.clone()).map(RouteValue::Many),
            Place::One(range) => self.values.text.get(range.clone()).map(RouteValue::One),
        }
    }
}

static NO_VALUES: RouteValues =
    RouteValues { text: String::new(), list: Vec::new(), places: Vec::new() };

impl RouteValues {
    /// Forgets the values and keeps the room.
    pub fn clear(&mut self) {
        self.text.clear();
        self.list.clear();
        self.places.clear();
    }

    /// Leaves the next key without a value.
    pub fn push_absent(&mut self) {
        self.places.push(Place::Absent);
    }

    /// Gives the next key its fixed values.
    pub fn push_fixed(&mut self) {
        self.places.push(Place::Fixed);
    }

    /// Gives the next key several values.
    pub fn push_many(&mut self, values: impl IntoIterator<Item = Box<str>>) {
        let start = self.list.len();
        self.list.extend(values);
        self.places.push(Place::Many(start..self.list.len()));
    }

    /// Gives the next key a single value, in parts.
    pub fn push_one<'p>(&mut self, parts: impl IntoIterator<Item = &'p str>) {
        let start = self.text.len();
        self.text.extend(parts);
        self.places.push(Place::One(start..self.text.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_the_order_of_their_keys() {
        let key = |key: &str, fixed: &[&str]| RouteKey {
            key: key.into(),
            fixed: fixed.iter().map(|value| (*value).into()).collect(),
            recording: Recording::Told,
        };
        let keys = [
            key("a:one", &[]),
            key("a:none", &[]),
            key("a:fixed", &["x", "y"]),
            key("a:many", &[]),
        ];
        let mut values = RouteValues::default();
        for _ in 0..2 {
            values.clear();
            values.push_one(["t", "eam"]);
            values.push_absent();
            values.push_fixed();
            values.push_many(["z".into()]);
        }
        let context = RouteContext::new(&keys, &values);
        assert_eq!(context.get("a:one"), Some(RouteValue::One("team")));
        assert_eq!(context.get("a:none"), None);
        assert_eq!(context.get("a:fixed"), Some(RouteValue::Many(&["x".into(), "y".into()])));
        assert_eq!(context.get("a:many"), Some(RouteValue::Many(&["z".into()])));
        assert_eq!(context.get("a:other"), None);
        assert_eq!(RouteContext::NONE.get("a:one"), None);
        let there: Vec<_> = context.iter().map(|(key, value)| (&*key.key, value)).collect();
        assert_eq!(
            there,
            [
                ("a:one", RouteValue::One("team")),
                ("a:fixed", RouteValue::Many(&["x".into(), "y".into()])),
                ("a:many", RouteValue::Many(&["z".into()])),
            ]
        );
    }
}
