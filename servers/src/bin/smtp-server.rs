//! The SMTP server alone: `smtp-server --config FILE`.

fn main() -> std::process::ExitCode {
    servers::cli::smtp_server()
}
