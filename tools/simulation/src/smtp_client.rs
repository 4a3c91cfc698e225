//! SMTP clients: the production state machine with DATA, and a minimal client that uses BDAT, RSET and pipelining at
//! random.

use std::collections::{BTreeSet, VecDeque};

use bytes::BytesMut;
use mail_core::message::address::{Address, ForwardPath, ReversePath};
use mail_core::smtp::client::{Envelope, Event, Submission, SubmissionConfig, Tls};
use mail_core::smtp::command::HelloName;
use net::driver::Read;

use crate::client::{Flow, run_client};
use crate::identity::ACCOUNTS;
use crate::mail::Mail;
use crate::model::{Account, Attempt};
use crate::network::{LinkProfile, Socket};
use crate::processes::Processes;
use crate::server::Protocol;
use crate::world::World;

/// One attempt to send a message.
struct OutgoingMail {
    attempt: Attempt,
    /// Addresses and the accounts they belong to.
    recipients: Vec<(String, Option<Account>)>,
    text: Vec<u8>,
}

impl OutgoingMail {
    fn random(world: &World) -> Self {
        let recipients = world.with_random(|random| {
            let count = *random.pick(&[1, 1, 1, 2, 3, 5]);
            let recipient = |_| match random.below(ACCOUNTS.len() * 4 + 1) {
                12 => ("nobody@iit.edu".to_owned(), None),
                index => {
                    let (account, form) = (index / 4, index % 4);
                    let name = ACCOUNTS[account];
                    let address = match form {
                        0 => format!("{name}+lists@iit.edu"),
                        1 => format!("{}@IITKGP.EDU", name.to_uppercase()),
                        _ => format!("{name}@iit.edu"),
                    };
                    (address, Some(account))
                }
            };
            (0..count).map(recipient).collect()
        });
        Self::to(world, recipients)
    }

    fn to(world: &World, recipients: Vec<(String, Option<Account>)>) -> Self {
        let attempt =
            world.model().begin(|attempt| world.with_random(|random| Mail::random(attempt, random)));
        world
            .model()
            .set_recipients(attempt, recipients.iter().filter_map(|(_, account)| *account).collect());
        let text = world.model().mail(attempt).sent.clone();
        Self { attempt, recipients, text }
    }

    fn envelope(&self) -> Envelope {
        let path = |(address, _): &(String, _)| ForwardPath::Address(address_of(address));
        Envelope {
            reverse_path: ReversePath::Address(address_of("ag@iit.edu")),
            recipients: self.recipients.iter().map(|recipient| path(recipient).into()).collect(),
            size: Some(self.text.len() as u64),
            eight_bit: true,
            utf8: false,
            ret: None,
            envid: None,
            require_tls: false,
        }
    }
}

fn address_of(text: &str) -> Address {
    Address::parse(text).expect("a valid address")
}

/// Sends some mails, with retries.
pub(crate) async fn send_mail(processes: Processes, name: String) {
    let world = processes.world();
    for _ in 0..world.with_random(|random| random.between(1..=5)) {
        let pause = world.with_random(|random| random.seconds(0..=40));
        world.sleep(pause).await;
        for _ in 0..world.with_random(|random| random.between(1..=3)) {
            let count = world.with_random(|random| *random.pick(&[1, 1, 2, 4]));
            let mails = (0..count).map(|_| OutgoingMail::random(world)).collect();
            let profile = world.link_profile();
            if session(&processes, &name, mails, profile).await {
                break;
            }
            let pause = world.with_random(|random| random.seconds(1..=60));
            world.sleep(pause).await;
        }
    }
}

/// Verifies that a mail to all accounts is accepted over a reliable connection.
pub(crate) async fn verify_sending(processes: &Processes) {
    let world = processes.world();
    let recipients =
        ACCOUNTS.iter().enumerate().map(|(account, name)| (format!("{name}@iit.edu"), Some(account)));
    let mail = OutgoingMail::to(world, recipients.collect());
    let profile = world.with_random(LinkProfile::reliable);
    if !session(processes, "last sender", vec![mail], profile).await {
        world.violation("a message is refused after the end of all faults");
    }
}

/// Sends mails in one session. Returns whether all were acknowledged.
async fn session(processes: &Processes, name: &str, mails: Vec<OutgoingMail>, profile: LinkProfile) -> bool {
    let world = processes.world();
    let Some(socket) = processes.connect(name, Protocol::Smtp, profile) else { return false };
    if mails.len() == 1 && world.with_random(|random| random.percent(40)) {
        let mut mails = mails;
        return send_chunks(world, name, mails.remove(0), socket).await;
    }
    submission(world, name, mails, socket).await
}

async fn submission(world: &World, name: &str, mails: Vec<OutgoingMail>, socket: Socket) -> bool {
    let config = SubmissionConfig {
        hello: HelloName::parse("iit.edu").expect("a name"),
        tls: Tls::Never,
        credentials: None,
        auth_required: false,
    };
    let mut machine = Submission::new(config, world.instant());
    for mail in &mails {
        machine.send(mail.envelope()).expect("a new session accepts messages");
    }
    machine.quit();
    let mut waiting: VecDeque<OutgoingMail> = mails.into();
    let mut at = 0;
    let outcome = run_client(world, socket, machine, |machine, event| {
        let Some(mail) = waiting.front_mut() else { return Flow::Continue };
        let attempt = mail.attempt;
        match event {
            Some(Event::RecipientRefused { index, .. }) => {
                mail.recipients[index].1 = None;
                let left: BTreeSet<Account> =
                    mail.recipients.iter().filter_map(|(_, account)| *account).collect();
                world.model().set_recipients(attempt, left);
            }
            Some(Event::SendBody) => at = 0,
            Some(Event::Sent(_)) => {
                world.acknowledged(name, attempt);
                waiting.pop_front();
            }
            Some(Event::Refused { stage, reply }) => {
                world.log(|| format!("{name}: message {attempt} refused at {stage:?}: {reply}"));
                world.model().counters.refused += 1;
                waiting.pop_front();
            }
            None if machine.wants_body() => {
                let piece = world.with_random(|random| {
                    let most = *random.pick(&[50, 5_000, 400_000]);
                    random.between(1..=most)
                });
                let end = mail.text.len().min(at + piece);
                machine.body(&mail.text[at..end]).expect("a text without NUL");
                at = end;
                if at == mail.text.len() {
                    world.log(|| format!("{name}: sends the end of message {attempt}"));
                    world.model().end_sent(attempt);
                    machine.body_end().expect("the machine wants a body");
                }
            }
            _ => {}
        }
        Flow::Continue
    });
    let outcome = outcome.await;
    if let (Err(error), Some(mail)) = (outcome, waiting.front()) {
        world.log(|| format!("{name}: no reply to message {}: {error}", mail.attempt));
        world.model().counters.unanswered += 1;
    }
    waiting.is_empty()
}

/// A line-based client.
struct LineClient<'a> {
    world: &'a World,
    socket: Socket,
    input: BytesMut,
}

impl LineClient<'_> {
    /// The code of the next reply; `None` at the end of the stream or after a timeout.
    async fn reply(&mut self) -> Option<u16> {
        let deadline = self.world.now() + std::time::Duration::from_secs(300);
        loop {
            if let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.input.split_to(end + 2);
                if line.get(3) != Some(&b'-') {
                    return std::str::from_utf8(line.get(..3)?).ok()?.parse().ok();
                }
            } else if self.socket.read(&mut self.input, Some(deadline)).await != Read::Octets {
                return None;
            }
        }
    }

    async fn command(&mut self, command: &str) -> Option<u16> {
        self.socket.write(command.as_bytes());
        self.reply().await
    }
}

/// Sends a mail with BDAT, with or without pipelining, sometimes after an abandoned transaction.
async fn send_chunks(world: &World, name: &str, mail: OutgoingMail, socket: Socket) -> bool {
    let attempt = mail.attempt;
    let mut lines = LineClient { world, socket, input: BytesMut::new() };
    let code = try_chunks(world, name, &mail, &mut lines).await;
    match code {
        Some(250) => world.acknowledged(name, attempt),
        Some(code) => {
            world.log(|| format!("{name}: message {attempt} refused: {code}"));
            world.model().counters.refused += 1;
        }
        None => {
            world.log(|| format!("{name}: no reply to message {attempt}"));
            world.model().counters.unanswered += 1;
        }
    }
    code == Some(250)
}

async fn try_chunks(
    world: &World,
    name: &str,
    mail: &OutgoingMail,
    lines: &mut LineClient<'_>,
) -> Option<u16> {
    lines.reply().await?;
    lines.command("EHLO iit.edu\r\n").await?;
    if world.with_random(|random| random.percent(30)) {
        abandon(world, lines).await?;
    }
    let mut commands = vec![b"MAIL FROM:<ag@iit.edu> BODY=8BITMIME\r\n".to_vec()];
    commands
        .extend(mail.recipients.iter().map(|(address, _)| format!("RCPT TO:<{address}>\r\n").into_bytes()));
    let mut rest = &mail.text[..];
    while !rest.is_empty() {
        let (chunk, tail) = rest.split_at(world.with_random(|random| 1 + random.below(rest.len())));
        commands.push([format!("BDAT {}\r\n", chunk.len()).as_bytes(), chunk].concat());
        rest = tail;
    }
    commands.push(b"BDAT 0 LAST\r\n".to_vec());
    let pipelined = world.with_random(|random| random.percent(50));
    if pipelined {
        lines.socket.write(&commands.concat());
        world.model().end_sent(mail.attempt);
        world.log(|| format!("{name}: pipelines message {}", mail.attempt));
    }
    let mut code = None;
    let mut accepted = BTreeSet::new();
    let last = commands.len() - 1;
    for (index, command) in commands.iter().enumerate() {
        if !pipelined {
            lines.socket.write(command);
            if index == last {
                world.log(|| format!("{name}: sends the last chunk of message {}", mail.attempt));
                world.model().end_sent(mail.attempt);
            }
        }
        code = Some(lines.reply().await?);
        if let (Some(250), Some((_, account))) = (code, mail.recipients.get(index.wrapping_sub(1))) {
            accepted.extend(account);
        }
    }
    world.model().set_recipients(mail.attempt, accepted);
    lines.command("QUIT\r\n").await;
    code
}

/// Sends a chunk without LAST and resets the transaction.
async fn abandon(world: &World, lines: &mut LineClient<'_>) -> Option<()> {
    let mail = OutgoingMail::random(world);
    lines.command("MAIL FROM:<ag@iit.edu> BODY=8BITMIME\r\n").await?;
    lines.command("RCPT TO:<gb@iit.edu>\r\n").await?;
    let chunk = [format!("BDAT {}\r\n", mail.text.len()).as_bytes(), &mail.text].concat();
    lines.socket.write(&chunk);
    lines.reply().await?;
    lines.command("RSET\r\n").await?;
    Some(())
}
