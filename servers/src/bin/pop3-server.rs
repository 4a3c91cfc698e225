//! The POP3 server alone: `pop3-server --config FILE`.

fn main() -> std::process::ExitCode {
    servers::cli::pop3_server()
}
