//! crossgate's policy engine beside cedar-policy, iam-rs and regorus, in one run.
//!
//! Every contestant gets the same grants: principal `i` may do one action on what lies below
//! resource `i`, with or without the conditions "from this network" and "with a second factor".
//! crossgate answers the whole question (guardrails of two levels, the resource's policy, the
//! identity's, a boundary, a session policy, across accounts); the others the grant alone.
//!
//! `cargo run --release --manifest-path benches/rivals/Cargo.toml [-- [--alone] SIZE…]`

mod cedar;
mod ours;
mod rego;
mod statements;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many grants, and whether they have conditions.
#[derive(Clone, Copy)]
struct World {
    size: usize,
    conditions: bool,
}

/// What a request asks: principal `i` on its own resource, or on its neighbour's.
#[derive(Clone, Copy, PartialEq)]
enum Ask {
    Own,
    Neighbours,
}

/// One engine with one world loaded.
trait Contestant {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// Makes the request of principal `i`, as a server has it: just read, so at hand.
    fn prepare(&mut self, i: usize, ask: Ask);
    /// Whether the prepared request at a place is allowed.
    fn decide(&mut self, place: usize) -> bool;
    /// Forgets the prepared requests.
    fn forget(&mut self);
}

impl World {
    fn account(self, i: usize) -> String {
        format!("{:012}", 100_000_000_000 + i / PRINCIPALS_PER_ACCOUNT)
    }

    fn principal(self, i: usize) -> String {
        format!("arn:aws:iam::{}:user/u{i}", self.account(i))
    }

    /// What principal `i` may use: all below it.
    fn resource(self, i: usize) -> String {
        format!("arn:aws:orders::{OWNER}:order/{i}")
    }

    fn asked(self, i: usize, ask: Ask) -> String {
        let i = if ask == Ask::Own { i } else { (i + 1) % self.size.max(2) };
        format!("{}/item-7", self.resource(i))
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let alone = arguments.iter().any(|argument| argument == "--alone");
    let sizes: Vec<usize> = arguments.iter().filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![10, 1_000, 10_000, 100_000] } else { sizes };
    println!("nanoseconds a decision: median of {ROUNDS} rounds, contestants in turn (least)");
    println!(
        "{:>7} {:10} {:9} {:>24}  ratio to crossgate",
        "grants", "conditions", "answer", "engine"
    );
    for size in sizes {
        for conditions in [false, true] {
            let world = World { size, conditions };
            let mut contestants = contestants(world, alone);
            for ask in [Ask::Own, Ask::Neighbours] {
                race(world, ask, &mut contestants);
            }
        }
    }
}

/// All engines, or crossgate alone.
fn contestants(world: World, alone: bool) -> Vec<Box<dyn Contestant>> {
    if alone {
        return vec![Box::new(ours::Ours::new(world))];
    }
    vec![
        Box::new(ours::Ours::new(world)),
        Box::new(cedar::Cedar::new(world)),
        Box::new(statements::Statements::new(world)),
        Box::new(rego::Interpreter::new(world)),
        Box::new(rego::Machine::new(world)),
    ]
}

fn race(world: World, ask: Ask, contestants: &mut [Box<dyn Contestant>]) {
    for contestant in contestants.iter_mut() {
        for (place, i) in principals(world).take(20).enumerate() {
            contestant.prepare(i, ask);
            let allowed = contestant.decide(place);
            assert_eq!(allowed, ask == Ask::Own, "{} about principal {i}", contestant.name());
        }
        contestant.forget();
    }
    let mut rounds = vec![Vec::with_capacity(ROUNDS); contestants.len()];
    for round in 0..ROUNDS {
        for (contestant, times) in contestants.iter_mut().zip(&mut rounds) {
            times.push(one_round(world, ask, contestant.as_mut(), round));
        }
    }
    let mut ours = None;
    for (contestant, times) in contestants.iter().zip(&mut rounds) {
        times.sort_by(f64::total_cmp);
        let (median, least) = (times[ROUNDS / 2], times[0]);
        let base = *ours.get_or_insert(median);
        println!(
            "{:>7} {:10} {:9} {:>24}  {median:>12.0} ({least:.0})  {:.1}",
            world.size,
            if world.conditions { "with" } else { "without" },
            if ask == Ask::Own { "allowed" } else { "denied" },
            contestant.name(),
            median / base
        );
    }
}

/// Nanoseconds a decision, over principals in an order that no cache foresees, in growing batches.
fn one_round(world: World, ask: Ask, contestant: &mut dyn Contestant, round: usize) -> f64 {
    let mut asked = principals(world).skip(round * 1_009 % world.size);
    let (mut spent, mut decided, mut batch) = (Duration::ZERO, 0, 1);
    while spent < ROUND_TIME {
        for i in asked.by_ref().take(batch) {
            contestant.prepare(i, ask);
        }
        let started = thread_time();
        for place in 0..batch {
            std::hint::black_box(contestant.decide(place));
        }
        spent += thread_time() - started;
        decided += batch;
        contestant.forget();
        batch = (batch * 2).min(BATCH_MAX);
    }
    spent.as_nanos() as f64 / decided as f64
}

/// The processor time of this thread: what others do on the machine is not in it, but for caches.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// All principals again and again, by a stride that shares no divisor with the sizes.
fn principals(world: World) -> impl Iterator<Item = usize> {
    (0_usize..).map(move |step| step.wrapping_mul(7_919) % world.size)
}

const PRINCIPALS_PER_ACCOUNT: usize = 100;
const OWNER: &str = "999999999999";
const ACTION: &str = "orders:GetOrder";
const NETWORK: &str = "10.0.0.0/8";
const ADDRESS: &str = "10.1.2.3";
const ROUNDS: usize = 7;
/// Requests that a cache holds beside what decides them.
const BATCH_MAX: usize = 256;
const ROUND_TIME: Duration = Duration::from_millis(60);
