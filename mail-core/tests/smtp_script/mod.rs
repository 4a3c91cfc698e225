//! The policy of the SMTP server's transcripts.

use std::sync::Arc;

use bytes::BytesMut;
use mail_core::smtp::parameter::Recipient;
use mail_core::smtp::reply::{EnhancedCode, Reply};
use mail_core::smtp::server::{AuthOffer, Config, Event, Server, SessionCommand};
use mail_core::time::Instant;

use crate::transcript::{Fixture, Role};

/// A policy that accepts everything except what the options reject.
///
/// | option | meaning |
/// |---|---|
/// | `hostname NAME`, `size OCTETS`, `recipients COUNT` | limits and name of the server |
/// | `starttls`, `submission`, `secure` | STARTTLS is offered, AUTH is required, the connection is already secure |
/// | `auth never\|when-secure\|always` | when AUTH is offered |
/// | `bare-line-ends`, `command-events`, `dsn`, `require-tls` | the options of `Config` |
/// | `reject WHAT REPLY` | WHAT is `mail`, `data`, `message`, a recipient path or `user/password`; REPLY is `550 5.1.1 text` |
///
/// The action `tls` completes the handshake and `shutdown` shuts down.
#[derive(Default)]
pub(crate) struct Script {
    rejections: Vec<(String, Reply)>,
    message: Vec<u8>,
}

/// Options that a transcript does not set.
pub(crate) fn default_config() -> Config {
    Config {
        hostname: "iitkgp.edu".to_owned(),
        message_size_max: 1_000_000,
        recipients_max: 100,
        starttls: false,
        auth: AuthOffer::Never,
        submission: false,
        bare_line_ends: false,
        command_events: false,
        dsn: false,
        require_tls: false,
    }
}

impl Script {
    fn decide(&self, machine: &mut Server, subject: &str) {
        match self.rejections.iter().find(|(rejected, _)| rejected == subject) {
            Some((_, reply)) => machine.reject(reply.clone()),
            None => machine.accept(),
        }
    }
}

impl Fixture for Script {
    type Machine = Server;

    const ROLE: Role = Role::Server;

    fn new(options: &[String], now: Instant) -> (Self, Server) {
        let (mut script, mut config, mut secure) = (Self::default(), default_config(), false);
        for option in options {
            let (name, value) = option.split_once(' ').unwrap_or((option, ""));
            match (name, value) {
                ("hostname", name) => config.hostname = name.to_owned(),
                ("size", octets) => config.message_size_max = octets.parse().unwrap(),
                ("recipients", count) => config.recipients_max = count.parse().unwrap(),
                ("starttls", "") => config.starttls = true,
                ("submission", "") => config.submission = true,
                ("secure", "") => secure = true,
                ("bare-line-ends", "") => config.bare_line_ends = true,
                ("command-events", "") => config.command_events = true,
                ("dsn", "") => config.dsn = true,
                ("require-tls", "") => config.require_tls = true,
                ("auth", "never") => config.auth = AuthOffer::Never,
                ("auth", "when-secure") => config.auth = AuthOffer::WhenSecure,
                ("auth", "always") => config.auth = AuthOffer::Always,
                ("reject", rejection) => {
                    // `hello` has an argument.
                    let rest = rejection.strip_prefix("hello ").unwrap_or(rejection);
                    let length = rejection.len() - rest.len() + rest.find(' ').unwrap();
                    let (subject, reply) = (&rejection[..length], &rejection[length + 1..]);
                    script.rejections.push((subject.to_owned(), parse_reply(reply)));
                }
                _ => panic!("unknown option: {option}"),
            }
        }
        (script, Server::new(Arc::new(config), secure, now))
    }

    fn perform(&mut self, machine: &mut Server, now: Instant, action: &str, _: &str) {
        match action {
            "tls" => machine.tls_established(now),
            "shutdown" => machine.shutdown(),
            _ => panic!("unknown action: {action}"),
        }
    }

    fn handle_event(&mut self, machine: &mut Server, event: Event, log: &mut Vec<String>, _: &mut BytesMut) {
        match event {
            Event::Command(command) => {
                let subject = match command {
                    SessionCommand::Connect => "connect".to_owned(),
                    SessionCommand::Hello(name) => format!("hello {name}"),
                    SessionCommand::StartTls => "starttls".to_owned(),
                    SessionCommand::Quit => "quit".to_owned(),
                };
                log.push(subject.clone());
                self.decide(machine, &subject);
            }
            Event::Authenticate(c) => {
                let (authorization, name, password) =
                    (c.authorization_id, c.authentication_id, c.password.expose());
                log.push(format!("authenticate {authorization}/{name}/{password}"));
                self.decide(machine, &format!("{name}/{password}"));
            }
            Event::Mail(mail) => {
                let size = mail.size.map_or(String::new(), |size| format!(" size={size}"));
                let eight_bit = if mail.eight_bit { " 8bit" } else { "" };
                let utf8 = if mail.utf8 { " utf8" } else { "" };
                let ret = mail.ret.map_or(String::new(), |ret| format!(" ret={ret}"));
                let envid = mail.envid.map_or(String::new(), |envid| format!(" envid={}", envid.as_str()));
                let require_tls = if mail.require_tls { " requiretls" } else { "" };
                let parameters = [&size, eight_bit, utf8, &ret, &envid, require_tls].concat();
                log.push(format!("mail {}{parameters}", mail.reverse_path));
                self.message.clear();
                self.decide(machine, "mail");
            }
            Event::Recipient(Recipient { path, parameters }) => {
                let notify = parameters.notify.map_or(String::new(), |notify| format!(" notify={notify}"));
                let orcpt = parameters
                    .orcpt
                    .map_or(String::new(), |orcpt| format!(" orcpt={};{}", orcpt.kind(), orcpt.address()));
                log.push(format!("recipient {path}{notify}{orcpt}"));
                self.decide(machine, &path.to_string());
            }
            Event::Data => {
                let hello = machine.hello().expect("DATA requires HELO").to_owned();
                log.push(format!("data from {hello} with {}", machine.protocol()));
                self.decide(machine, "data");
            }
            Event::Chunk(octets) => self.message.extend_from_slice(&octets),
            Event::EndOfData => {
                let text = match self.message.len() {
                    0..=200 => self.message.escape_ascii().to_string(),
                    octets => format!("of {octets} octets"),
                };
                log.push(format!("message {text}"));
                self.decide(machine, "message");
            }
            Event::Reset => log.push("reset".to_owned()),
            Event::Refused(_) => {}
        }
    }
}

/// Parses `550 5.1.1 text`.
fn parse_reply(reply: &str) -> Reply {
    let mut words = reply.splitn(3, ' ');
    let code = words.next().unwrap().parse().unwrap();
    let enhanced: Vec<u16> = words.next().unwrap().split('.').map(|part| part.parse().unwrap()).collect();
    let class = u8::try_from(enhanced[0]).unwrap();
    let text = words.next().unwrap_or_default().to_owned();
    Reply::new(code, EnhancedCode::new(class, enhanced[1], enhanced[2]), text)
}

pub(crate) fn server(config: Config) -> (Server, Instant) {
    let now = Instant::now();
    (Server::new(Arc::new(config), false, now), now)
}
