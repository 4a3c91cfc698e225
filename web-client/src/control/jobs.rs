//! Runs the queue of POP3 sessions. After a temporary failure the job is repeated with backoff.

use std::pin::pin;
use std::rc::Rc;

use futures::channel::oneshot;
use futures::future::select;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::Control;
use super::login_session::{Job, LoginSession};
use crate::model::state::{Action, ConnectionStatus, MailboxAction, Notice, SessionAction, UiAction};
use crate::platform::clock;
use crate::session::SessionError;

impl Control {
    /// Runs all jobs of the queue. If they are running already, ends a wait between attempts.
    pub(super) fn run_jobs(&self, session: &Rc<LoginSession>) {
        if session.running.replace(true) {
            if let Some(wake) = session.wake.take() {
                // The wait may have ended at the same time.
                let _ = wake.send(());
            }
            return;
        }
        let (control, session) = (self.clone(), session.clone());
        spawn_local(async move {
            while control.is_current(&session) {
                let Some(job) = session.next_job() else { break };
                if job != Job::FetchInBackground {
                    control.set_connection(&session, ConnectionStatus::Busy);
                }
                let result = control.run_job(&session, &job).await;
                if !control.is_current(&session) {
                    return;
                }
                match result {
                    Ok(()) => {
                        session.backoff.take();
                        session.login_refused.take();
                    }
                    Err(error) => {
                        if !control.recover(&session, job, error).await {
                            break;
                        }
                    }
                }
            }
            session.running.set(false);
        });
    }

    async fn run_job(&self, session: &Rc<LoginSession>, job: &Job) -> Result<(), SessionError> {
        match job {
            Job::Check => self.check_maildrop(session).await,
            Job::Fetch(id) => {
                let result = self.fetch(session, id).await;
                if let Err(error) = &result
                    && self.is_current(session)
                {
                    self.dispatch(UiAction::OpenFailed { id: id.clone(), error: error.to_string() });
                }
                match result {
                    // The reader shows the error; the connection is fine.
                    Ok(()) | Err(SessionError::Refused(_) | SessionError::LimitExceeded(_)) => {
                        self.set_connection(session, ConnectionStatus::Idle);
                        Ok(())
                    }
                    result => result,
                }
            }
            Job::Remove => self.remove_messages(session).await,
            // The next check tries again.
            Job::FetchInBackground => match self.fetch_in_background(session).await {
                Err(error @ (SessionError::WrongCredentials(_) | SessionError::LoginRefused(_))) => {
                    Err(error)
                }
                _ => Ok(()),
            },
        }
    }

    /// Handles the failure of a job; returns whether to continue with the queue.
    async fn recover(&self, session: &Rc<LoginSession>, job: Job, error: SessionError) -> bool {
        let signing_in = self.state().session.account.is_none();
        match error {
            // Without a response code the reason may be temporary. An established session ends only if the second
            // login is refused as well.
            SessionError::LoginRefused(_) if !signing_in && !session.login_refused.replace(true) => {
                self.retry_later(session, job, &error).await;
                true
            }
            SessionError::WrongCredentials(_) | SessionError::LoginRefused(_) => {
                self.store_open_draft();
                self.end_session(&error);
                false
            }
            SessionError::Temporary(_) => {
                self.retry_later(session, job, &error).await;
                true
            }
            // Before the first successful login, the user decides when to try again.
            error if signing_in => {
                self.end_session(&error);
                false
            }
            error if error.is_temporary() => {
                self.retry_later(session, job, &error).await;
                true
            }
            error => {
                if job == Job::Remove {
                    let ids: Vec<_> = self.state().mailbox.removal.in_progress.iter().cloned().collect();
                    session.storage.forget_removals(&ids);
                    self.dispatch(MailboxAction::RemovalFailed(ids));
                    self.notify(Notice::error(format!("Not deleted. {error}")));
                }
                self.set_connection(session, ConnectionStatus::Failed(error.to_string()));
                true
            }
        }
    }

    /// The server does not accept the credentials, or cannot be reached for the sign-in.
    fn end_session(&self, error: &SessionError) {
        let session = self.session();
        let username = session.as_ref().map(|session| session.username.clone()).unwrap_or_default();
        if let Some(session) = session {
            session.forget_sign_in();
        }
        self.dispatch(Action::SignedOut { error: Some(error.to_string()), username });
        self.0.session.take();
    }

    async fn retry_later(&self, session: &Rc<LoginSession>, job: Job, error: &SessionError) {
        // The reader already shows the failure of a fetch. A check detects when the connection works again.
        let job = if matches!(job, Job::Fetch(_)) { Job::Check } else { job };
        session.jobs.borrow_mut().push_front(job);
        let mut backoff = session.backoff.get();
        let delay = backoff.next();
        session.backoff.set(backoff);
        let reason = (*error != SessionError::ConnectionLost).then(|| error.to_string());
        let until = clock::now() + delay;
        self.set_connection(session, ConnectionStatus::Waiting { reason, until });
        let (wake, woken) = oneshot::channel();
        session.wake.replace(Some(wake));
        select(pin!(sleep(delay)), woken).await;
        session.wake.take();
    }

    pub(super) fn set_connection(&self, session: &Rc<LoginSession>, connection: ConnectionStatus) {
        if !self.is_current(session) {
            return;
        }
        if connection != ConnectionStatus::Busy {
            self.dispatch(MailboxAction::LoadingEnded);
        }
        self.dispatch(SessionAction::Connection(connection));
    }
}
