//! crossgate: the whole question.

use crate::{Ask, Contestant, World};

pub struct Ours;

impl Ours {
    pub fn new(_world: World) -> Self {
        Self
    }
}

impl Contestant for Ours {
    fn name(&self) -> &'static str {
        "crossgate"
    }

    fn decide(&mut self, _i: usize, ask: Ask) -> bool {
        ask == Ask::Own
    }
}
