//! The `crossgate` program: parses arguments, calls the command, maps its end to an exit code.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    crossgate::cli::main()
}
