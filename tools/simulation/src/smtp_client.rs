//! Clients that hand mail over: the core's own machine with DATA, and one of a few lines that uses BDAT, RSET and
//! pipelining as it likes.

use std::collections::{BTreeSet, VecDeque};

use bytes::BytesMut;
use mail_core::message::address::{Address, ForwardPath, ReversePath};
use mail_core::smtp::client::{Envelope, Event, Submission, SubmissionConfig, Tls};
use mail_core::smtp::command::HelloName;
use net::driver::Read;

use crate::client::{Next, run};
use crate::mail::Mail;
use crate::model::{Account, Attempt};
use crate::network::{Socket, Weather};
use crate::server::{ACCOUNTS, Protocol};
use crate::world::World;

/// One attempt to hand a message over.
struct Sending {
    attempt: Attempt,
    /// Addresses, and whose each is.
    recipients: Vec<(String, Option<Account>)>,
    text: Vec<u8>,
}

impl Sending {
    fn any(world: &World) -> Self {
        let recipients = world.with_random(|random| {
            let count = *random.pick(&[1, 1, 1, 2, 3, 5]);
            let one = |_| match random.below(ACCOUNTS.len() * 4 + 1) {
                12 => ("nobody@iit.edu".to_owned(), None),
                any => {
                    let (account, how) = (any / 4, any % 4);
                    let name = ACCOUNTS[account];
                    let address = match how {
                        0 => format!("{name}+lists@iit.edu"),
                        1 => format!("{}@IITKGP.EDU", name.to_uppercase()),
                        _ => format!("{name}@iit.edu"),
                    };
                    (address, Some(account))
                }
            };
            (0..count).map(one).collect()
        });
        Self::to(world, recipients)
    }

    fn to(world: &World, recipients: Vec<(String, Option<Account>)>) -> Self {
        let attempt = world.model().begin(|attempt| world.with_random(|random| Mail::any(attempt, random)));
        world.model().address(attempt, recipients.iter().filter_map(|(_, account)| *account).collect());
        let text = world.model().mail(attempt).sent.clone();
        Self { attempt, recipients, text }
    }

    fn envelope(&self) -> Envelope {
        let path = |(address, _): &(String, _)| ForwardPath::Address(address_of(address));
        Envelope {
            reverse_path: ReversePath::Address(address_of("ag@iit.edu")),
            recipients: self.recipients.iter().map(path).collect(),
            size: Some(self.text.len() as u64),
            eight_bit: true,
            utf8: false,
        }
    }
}

fn address_of(text: &str) -> Address {
    Address::parse(text).expect("the simulation writes addresses")
}

/// Hands over some mails, each until it is acknowledged or the sender loses patience.
pub(crate) async fn send_mail(world: World, name: String) {
    for _ in 0..world.with_random(|random| random.between(1..=5)) {
        let pause = world.with_random(|random| random.seconds(0..=40));
        world.sleep(pause).await;
        for _ in 0..world.with_random(|random| random.between(1..=3)) {
            let count = world.with_random(|random| *random.pick(&[1, 1, 2, 4]));
            let mails = (0..count).map(|_| Sending::any(&world)).collect();
            let weather = world.weather();
            if session(&world, &name, mails, weather).await {
                break;
            }
            let pause = world.with_random(|random| random.seconds(1..=60));
            world.sleep(pause).await;
        }
    }
}

/// One mail to everybody over a network in order: it must be taken.
pub(crate) async fn send_last(world: &World) {
    let recipients =
        ACCOUNTS.iter().enumerate().map(|(account, name)| (format!("{name}@iit.edu"), Some(account)));
    let mail = Sending::to(world, recipients.collect());
    let weather = world.with_random(Weather::fair);
    if !session(world, "the last sender", vec![mail], weather).await {
        world.fail("all is in order again, and a message is not taken");
    }
}

/// Whether all was acknowledged.
async fn session(world: &World, name: &str, mails: Vec<Sending>, weather: Weather) -> bool {
    let Some(socket) = world.connect(name, Protocol::Smtp, weather) else { return false };
    if mails.len() == 1 && world.with_random(|random| random.percent(40)) {
        let mut mails = mails;
        return chunks(world, name, mails.remove(0), socket).await;
    }
    submission(world, name, mails, socket).await
}

async fn submission(world: &World, name: &str, mails: Vec<Sending>, socket: Socket) -> bool {
    let config = SubmissionConfig {
        hello: HelloName::parse("iit.edu").expect("a name"),
        tls: Tls::Never,
        credentials: None,
        auth_required: false,
    };
    let mut machine = Submission::new(config, world.instant());
    for mail in &mails {
        machine.send(mail.envelope()).expect("the session has just begun");
    }
    machine.quit();
    let mut waiting: VecDeque<Sending> = mails.into();
    let mut at = 0;
    let ended = run(world, socket, machine, |machine, event| {
        let Some(mail) = waiting.front_mut() else { return Next::Continue };
        let attempt = mail.attempt;
        match event {
            Some(Event::RecipientRefused { index, .. }) => {
                mail.recipients[index].1 = None;
                let left: BTreeSet<Account> =
                    mail.recipients.iter().filter_map(|(_, account)| *account).collect();
                world.model().address(attempt, left);
            }
            Some(Event::SendBody) => at = 0,
            Some(Event::Sent(_)) => {
                world.acknowledged(name, attempt);
                waiting.pop_front();
            }
            Some(Event::Refused { stage, reply }) => {
                world.note(|| format!("{name}: message {attempt} is refused at {stage:?}: {reply}"));
                world.model().tally.refused += 1;
                waiting.pop_front();
            }
            None if machine.wants_body() => {
                let piece = world.with_random(|random| {
                    let most = *random.pick(&[50, 5_000, 400_000]);
                    random.between(1..=most)
                });
                let end = mail.text.len().min(at + piece);
                machine.body(&mail.text[at..end]).expect("there is no NUL in it");
                at = end;
                if at == mail.text.len() {
                    world.note(|| format!("{name}: sends the end of message {attempt}"));
                    world.model().sent(attempt);
                    machine.body_end().expect("it wants a body");
                }
            }
            _ => {}
        }
        Next::Continue
    });
    let ended = ended.await;
    if let (Err(error), Some(mail)) = (ended, waiting.front()) {
        world.note(|| format!("{name}: message {} is not answered: {error}", mail.attempt));
        world.model().tally.unanswered += 1;
    }
    waiting.is_empty()
}

/// A client that sees lines.
struct Lines<'a> {
    world: &'a World,
    socket: Socket,
    input: BytesMut,
}

impl Lines<'_> {
    /// The code of the next reply; `None` at the end of the stream, or after a long silence.
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

/// BDAT, with or without pipelining, sometimes after a transaction that is given up.
async fn chunks(world: &World, name: &str, mail: Sending, socket: Socket) -> bool {
    let attempt = mail.attempt;
    let mut lines = Lines { world, socket, input: BytesMut::new() };
    let done = try_chunks(world, name, &mail, &mut lines).await;
    match done {
        Some(250) => world.acknowledged(name, attempt),
        Some(code) => {
            world.note(|| format!("{name}: message {attempt} is refused: {code}"));
            world.model().tally.refused += 1;
        }
        None => {
            world.note(|| format!("{name}: message {attempt} is not answered"));
            world.model().tally.unanswered += 1;
        }
    }
    done == Some(250)
}

async fn try_chunks(world: &World, name: &str, mail: &Sending, lines: &mut Lines<'_>) -> Option<u16> {
    lines.reply().await?;
    lines.command("EHLO iit.edu\r\n").await?;
    if world.with_random(|random| random.percent(30)) {
        abandon(world, lines).await?;
    }
    let mut steps = vec![b"MAIL FROM:<ag@iit.edu> BODY=8BITMIME\r\n".to_vec()];
    steps.extend(mail.recipients.iter().map(|(address, _)| format!("RCPT TO:<{address}>\r\n").into_bytes()));
    let mut rest = &mail.text[..];
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(world.with_random(|random| 1 + random.below(rest.len())));
        steps.push([format!("BDAT {}\r\n", chunk.len()).as_bytes(), chunk].concat());
        rest = behind;
    }
    steps.push(b"BDAT 0 LAST\r\n".to_vec());
    let pipelined = world.with_random(|random| random.percent(50));
    if pipelined {
        lines.socket.write(&steps.concat());
        world.model().sent(mail.attempt);
        world.note(|| format!("{name}: sends all of message {} at once", mail.attempt));
    }
    let mut code = None;
    let mut accepted = BTreeSet::new();
    let last = steps.len() - 1;
    for (index, step) in steps.iter().enumerate() {
        if !pipelined {
            lines.socket.write(step);
            if index == last {
                world.note(|| format!("{name}: sends the last chunk of message {}", mail.attempt));
                world.model().sent(mail.attempt);
            }
        }
        code = Some(lines.reply().await?);
        if let (Some(250), Some((_, account))) = (code, mail.recipients.get(index.wrapping_sub(1))) {
            accepted.extend(account);
        }
    }
    world.model().address(mail.attempt, accepted);
    lines.command("QUIT\r\n").await;
    code
}

/// A transaction that never ends.
async fn abandon(world: &World, lines: &mut Lines<'_>) -> Option<()> {
    let mail = Sending::any(world);
    lines.command("MAIL FROM:<ag@iit.edu> BODY=8BITMIME\r\n").await?;
    lines.command("RCPT TO:<gb@iit.edu>\r\n").await?;
    let chunk = [format!("BDAT {}\r\n", mail.text.len()).as_bytes(), &mail.text].concat();
    lines.socket.write(&chunk);
    lines.reply().await?;
    lines.command("RSET\r\n").await?;
    Some(())
}
