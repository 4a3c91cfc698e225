//! The text that the demo prints once its servers listen: addresses, accounts, commands to try.

use std::path::Path;

use xtask::shell::relative_path;

use super::Addresses;

pub(super) fn lines(addresses: &Addresses, accounts: &[(String, String)], folder: &Path) -> Vec<String> {
    let Addresses { smtp, pop3, web } = addresses;
    let mut lines = vec![
        String::new(),
        format!("  http://{web}/"),
        String::new(),
        format!("  SMTP  {smtp}"),
        format!("  POP3  {pop3}"),
        String::new(),
    ];
    lines.extend(accounts.iter().map(|(name, password)| format!("  user {name}  password {password}")));
    let (name, password) = accounts.last().map_or(("", ""), |(name, password)| (name, password));
    let mailbox = relative_path(&folder.join("data").join(name).join("MyMailBox.txt"));
    let next = format!(
        "
Open the address above in a browser and sign in. Or, in another terminal:

  cargo run -q -p cli-client -- --smtp {smtp} --pop3 {pop3}
      terminal client; choose an option and follow the prompts

  nc -C {smtp_host} {smtp_port}
      HELO iit.edu
      MAIL FROM: <ag@iit.edu>
      RCPT TO: {name}@iit.edu
      DATA
      From: <ag@iit.edu>
      To: <{name}@iit.edu>
      Subject: Meeting

      See you at five.
      .
      QUIT

  nc -C {pop3_host} {pop3_port}
      USER {name}
      PASS {password}
      STAT
      LIST
      RETR 1
      QUIT

  cat {mailbox}

`telnet` works as well as `nc -C`. Ctrl-C stops the servers; the mail is kept for the next run.
",
        smtp_host = smtp.ip(),
        smtp_port = smtp.port(),
        pop3_host = pop3.ip(),
        pop3_port = pop3.port(),
    );
    lines.extend(next.lines().map(str::to_owned));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_contain_addresses_accounts_and_the_mailbox_file() {
        let address = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let accounts = [("ag".to_owned(), "one".to_owned()), ("gb".to_owned(), "two".to_owned())];
        let addresses = Addresses { smtp: address(2525), pop3: address(2110), web: address(8080) };
        let text = lines(&addresses, &accounts, Path::new("/demo")).join("\n");
        assert!(text.trim_start().starts_with("http://127.0.0.1:8080/\n"), "{text}");
        for part in ["SMTP  127.0.0.1:2525", "user ag  password one", "nc -C 127.0.0.1 2110", "PASS two"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(text.contains("cat /demo/data/gb/MyMailBox.txt"), "{text}");
    }
}
