//! All in one: `pennypost serve`, `pennypost user`, `pennypost check`.

fn main() -> std::process::ExitCode {
    servers::cli::pennypost()
}
