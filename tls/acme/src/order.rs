//! An order of a certificate (RFC 8555 section 7.4).

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use mail_core::message::printable::Excerpt;
use tls::OpenChallenge;

use crate::Renewal;
use crate::failure::Failure;

/// Polls after 250 ms, 500 ms, 1 s and so on.
const POLLING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(2.0)
    .timeout(Duration::from_secs(180));

impl Renewal {
    /// Orders a certificate and returns its chain in PEM form.
    pub(crate) async fn order_certificate(&self, account: &Account) -> Result<String, Failure> {
        let identifiers: Vec<_> = self.names.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
        let challenges = self.accept_challenges(&mut order).await?;
        // A new order is ready at once if the directory remembers earlier authorizations.
        let polled = match order.state().status {
            OrderStatus::Ready => Ok(OrderStatus::Ready),
            _ => order.poll_ready(&POLLING).await,
        };
        drop(challenges);
        match polled {
            Ok(OrderStatus::Ready) => {}
            Ok(_) | Err(Error::Api(_)) => {
                return Err(refusal(&mut order).await.unwrap_or_else(Failure::from));
            }
            Err(error) => return Err(error.into()),
        }
        let request = self.files.signing_request(&self.names).map_err(Failure::local)?;
        order.finalize_csr(&request).await?;
        Ok(order.poll_certificate(&POLLING).await?)
    }

    /// Opens a challenge for each name that the directory has not verified yet.
    async fn accept_challenges(&self, order: &mut Order) -> Result<Vec<OpenChallenge>, Failure> {
        let mut open = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            let Identifier::Dns(name) = authorization.identifier().identifier.clone() else {
                return Err(Failure::local(
                    "the directory requested an authorization for a non-DNS identifier; choose another `directory` for `acme` in [tls]",
                ));
            };
            if !self.names.contains(&name) {
                return Err(Failure::local(format!(
                    "the directory requested an authorization for {}, which was not ordered",
                    Excerpt(&name)
                )));
            }
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                _ => return Err(Failure::unverified(&name, None)),
            }
            let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
                return Err(Failure::local(format!(
                    "the directory does not verify {name} over TLS (tls-alpn-01); choose another `directory` for `acme` in [tls]"
                )));
            };
            let digest = challenge.key_authorization().digest();
            open.push(self.certificate.open_challenge(&name, digest.as_ref()).map_err(Failure::local)?);
            challenge.set_ready().await?;
        }
        Ok(open)
    }
}

/// The name that the directory could not verify, and its reason.
async fn refusal(order: &mut Order) -> Result<Failure, Error> {
    let problem = order.state().error.clone();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let state = authorization.refresh().await?;
        if state.status == AuthorizationStatus::Invalid {
            let reason = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
            return Ok(Failure::unverified(&state.identifier().to_string(), reason));
        }
    }
    Ok(problem.map_or(Error::Str("the order is invalid"), Error::Api).into())
}
