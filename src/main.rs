//! The `crossgate` program: parses arguments, calls the command, maps its end to an exit code.

fn main() -> std::process::ExitCode {
    crossgate::cli::main()
}
