//! regorus: a rule that looks the principal's grants up, in the interpreter and in the bytecode VM.

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{CompiledPolicy, Engine, Rc, Value};

use crate::{ACTION, ADDRESS, Ask, Contestant, NETWORK, World};

pub struct Interpreter {
    policy: CompiledPolicy,
    world: World,
    inputs: Vec<Value>,
}

pub struct Machine {
    vm: RegoVM,
    world: World,
    inputs: Vec<Value>,
}

const ENTRY: &str = "data.authz.allow";

fn rule(world: World) -> String {
    let conditions = if world.conditions {
        format!("    input.mfa == true\n    net.cidr_contains(\"{NETWORK}\", input.source)\n")
    } else {
        String::new()
    };
    format!(
        "package authz\nimport rego.v1\ndefault allow := false\nallow if {{\n    some grant in data.grants[input.principal]\n    grant.action == input.action\n    startswith(input.resource, grant.prefix)\n{conditions}}}\n"
    )
}

fn data(world: World) -> Value {
    let grants: serde_json::Map<String, serde_json::Value> = (0..world.size)
        .map(|i| {
            let grant = serde_json::json!({
                "action": ACTION,
                "prefix": format!("{}/", world.resource(i)),
            });
            (world.principal(i), serde_json::json!([grant]))
        })
        .collect();
    let data = serde_json::json!({ "grants": grants });
    Value::from_json_str(&data.to_string()).unwrap()
}

fn input(world: World, i: usize, ask: Ask) -> Value {
    let input = serde_json::json!({
        "principal": world.principal(i),
        "action": ACTION,
        "resource": world.asked(i, ask),
        "mfa": true,
        "source": ADDRESS,
    });
    Value::from_json_str(&input.to_string()).unwrap()
}

fn compiled(world: World) -> CompiledPolicy {
    let mut engine = Engine::new();
    engine.add_policy("authz.rego".into(), rule(world)).unwrap();
    engine.add_data(data(world)).unwrap();
    let entry: Rc<str> = ENTRY.into();
    engine.compile_with_entrypoint(&entry).unwrap()
}

impl Interpreter {
    pub fn new(world: World) -> Self {
        Self { policy: compiled(world), world, inputs: Vec::new() }
    }
}

impl Machine {
    pub fn new(world: World) -> Self {
        let policy = compiled(world);
        let program = Compiler::compile_from_policy(&policy, &[ENTRY]).unwrap();
        let mut vm = RegoVM::new_with_policy(policy);
        vm.load_program(program);
        vm.set_data(data(world)).unwrap();
        Self { vm, world, inputs: Vec::new() }
    }
}

impl Contestant for Interpreter {
    fn name(&self) -> &'static str {
        "regorus interpreter"
    }

    fn prepare(&mut self, i: usize, ask: Ask) {
        self.inputs.push(input(self.world, i, ask));
    }

    fn decide(&mut self, place: usize) -> bool {
        let answer = self.policy.eval_with_input(self.inputs[place].clone()).unwrap();
        answer == Value::from(true)
    }

    fn forget(&mut self) {
        self.inputs.clear();
    }
}

impl Contestant for Machine {
    fn name(&self) -> &'static str {
        "regorus bytecode VM"
    }

    fn prepare(&mut self, i: usize, ask: Ask) {
        self.inputs.push(input(self.world, i, ask));
    }

    fn decide(&mut self, place: usize) -> bool {
        self.vm.set_input(self.inputs[place].clone());
        self.vm.execute().unwrap() == Value::from(true)
    }

    fn forget(&mut self) {
        self.inputs.clear();
    }
}
