//! Says what the servers count: `GET /metrics` by http, in OpenMetrics text, which Prometheus reads.
//!
//! It has a listener of its own, which asks nobody who he is: it belongs on an address that only the collector reaches.

use std::convert::Infallible;
use std::fmt;
use std::net::{self, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, info};

use crate::listener::{accept, listen};
use crate::meters::{Latency, Meters, Traffic};

/// A collector asks once in a few seconds over one connection; more of them wait to be accepted.
const CONNECTIONS_MAX: usize = 16;
/// A request and its answer are a few kibibytes.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_OCTETS_MAX: usize = 16 << 10;
/// What the text is, for who reads it (OpenMetrics 1.0, "Protocol Negotiation").
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A bound address.
#[derive(Debug)]
pub(crate) struct MetricsDoor {
    socket: net::TcpListener,
    address: SocketAddr,
}

impl MetricsDoor {
    /// Binds an address. It needs no runtime yet.
    ///
    /// # Errors
    /// The address is taken or not ours, said as a sentence.
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, String> {
        let cannot = |error| {
            format!("cannot listen on {address} for metrics: {error}; choose another address with --metrics")
        };
        let socket = listen(address).map_err(cannot)?;
        let address = socket.local_addr().map_err(cannot)?;
        Ok(Self { socket, address })
    }

    /// Answers until `stopping` turns true; with the bridge's numbers, where there is one.
    pub(crate) async fn serve(
        self,
        meters: Arc<Meters>,
        bridge: Option<Arc<ws_bridge::meters::Meters>>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let Self { socket, address } = self;
        let socket = TcpListener::from_std(socket).expect("the socket listens and does not block");
        let mut registry = Registry::with_prefix("pennypost");
        registry.register_collector(Box::new(Report(meters)));
        if let Some(meters) = bridge {
            registry.register_collector(Box::new(BridgeReport(meters)));
        }
        let registry = Arc::new(registry);
        info!(protocol = "metrics", %address, "listening");
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let accepted = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (permit.expect("the semaphore is never closed"), accept(&socket).await)
            };
            let (permit, (stream, peer)) = tokio::select! {
                accepted = accepted => accepted,
                // An answer under way is of use to nobody any more.
                _ = stopping.wait_for(|stop| *stop) => return,
            };
            while connections.try_join_next().is_some() {}
            let registry = Arc::clone(&registry);
            connections.spawn(async move {
                match timeout(EXCHANGE_TIMEOUT, converse(stream, &registry)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => debug!(%peer, %error, "metrics connection lost"),
                    Err(_) => info!(
                        %peer,
                        "metrics connection given up: it took longer than {} seconds",
                        EXCHANGE_TIMEOUT.as_secs()
                    ),
                }
                drop(permit);
            });
        }
    }
}

/// One request and its answer.
async fn converse(stream: TcpStream, registry: &Registry) -> hyper::Result<()> {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, registry)) });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD_OCTETS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(request: &Request<Incoming>, registry: &Registry) -> Response<String> {
    if request.uri().path() != "/metrics" {
        return response(
            StatusCode::NOT_FOUND,
            PLAIN,
            "there is /metrics here, and nothing else\n".to_owned(),
        );
    }
    if request.method() != Method::GET {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET it\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return refused;
    }
    let mut words = String::new();
    text::encode(&mut words, registry).expect("a string takes everything");
    response(StatusCode::OK, (CONTENT_TYPE, OPEN_METRICS), words)
}

const PLAIN: (HeaderName, &str) = (CONTENT_TYPE, "text/plain; charset=utf-8");

fn response(status: StatusCode, (name, value): (HeaderName, &'static str), body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

/// Reads the meters anew each time somebody asks.
#[derive(Debug)]
struct Report(Arc<Meters>);

impl Collector for Report {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let meters = &*self.0;
        let mut report = Encoder(encoder);
        report.traffic(&[
            ("smtp", &meters.smtp),
            ("submission", &meters.submission),
            ("pop3", &meters.pop3),
        ])?;
        let sign_ins = &meters.sign_ins;
        report.counters(
            "sign_ins",
            "Attempts to sign in, by what came of them",
            [
                ([("result", "good")], sign_ins.good.get()),
                ([("result", "wrong")], sign_ins.wrong.get()),
                ([("result", "too_many")], sign_ins.too_many.get()),
                ([("result", "not_now")], sign_ins.not_now.get()),
            ],
        )?;
        let (delivered, retrieved) = (&meters.delivered, &meters.retrieved);
        report.counter("delivered_messages", "Messages made durable", delivered.messages.get())?;
        report.counter("delivered_octets", "Their octets, as sent", delivered.octets.get())?;
        let help = "From the end of a message to its last copy on stable storage";
        encode_latency(
            report.0.encode_descriptor("commit_seconds", help, None, MetricType::Histogram)?,
            &meters.commit,
        )?;
        report.counter("retrieved_messages", "Messages that RETR gave whole", retrieved.messages.get())?;
        report.counter("retrieved_octets", "Their octets, as listed", retrieved.octets.get())?;
        let errors = &meters.store_errors;
        report.counters(
            "store_errors",
            "What the store could not do, by kind",
            [
                ([("kind", "full")], errors.full.get()),
                ([("kind", "lost")], errors.lost.get()),
                ([("kind", "failed")], errors.failed.get()),
            ],
        )
    }
}

/// The same of the bridge's.
#[derive(Debug)]
struct BridgeReport(Arc<ws_bridge::meters::Meters>);

impl Collector for BridgeReport {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let meters = &*self.0;
        let mut report = Encoder(encoder);
        let accepted =
            meters.targets().map(|(target, passage)| ([("target", target)], passage.accepted.get()));
        report.counters("bridge_connections", "Connections of pages that were upgraded", accepted)?;
        let open = meters.targets().map(|(target, passage)| ([("target", target)], passage.open.get()));
        report.gauges("bridge_connections_open", "Connections that are bridged now", open)?;
        let octets = meters.targets().flat_map(|(target, passage)| {
            [("up", &passage.octets_up), ("down", &passage.octets_down)]
                .map(|(direction, count)| ([("target", target), ("direction", direction)], count.get()))
        });
        report.counters("bridge_octets", "Octets carried, up to the target or down to the page", octets)?;
        let refused = &meters.refused;
        report.counters(
            "bridge_connections_refused",
            "Requests for a connection that were refused before the upgrade, by reason",
            [
                ([("reason", "host_or_origin")], refused.host_or_origin.get()),
                ([("reason", "target")], refused.target.get()),
                ([("reason", "handshake")], refused.handshake.get()),
                ([("reason", "connections")], refused.all_taken.get()),
                ([("reason", "connections_per_address")], refused.address_full.get()),
            ],
        )?;
        // A label has to be text.
        let closes: Vec<_> =
            meters.closes().map(|(code, reason, count)| (code.to_string(), reason, count)).collect();
        let closes = closes
            .iter()
            .map(|(code, reason, count)| ([("code", code.as_str()), ("reason", *reason)], *count));
        report.counters("bridge_closes", "Connections that the bridge closed, by code and reason", closes)?;
        let closed = meters.closed_by_browser.get();
        report.counter("bridge_closed_by_browser", "Connections that the browser closed", closed)?;
        report.counter("bridge_lost", "Connections that ended without a goodbye", meters.lost.get())
    }
}

struct Encoder<'a>(DescriptorEncoder<'a>);

impl Encoder<'_> {
    fn traffic(&mut self, all: &[(&'static str, &Traffic)]) -> fmt::Result {
        let each = |read: fn(&Traffic) -> u64| {
            all.iter().map(move |(name, traffic)| ([("protocol", *name)], read(traffic)))
        };
        let accepted = each(|traffic| traffic.accepted.get());
        self.counters("connections_accepted", "Connections that came, whatever became of them", accepted)?;
        let refused = all.iter().flat_map(|(name, traffic)| {
            let refused = &traffic.refused;
            [
                ("connections", &refused.all_taken),
                ("connections_per_address", &refused.address_full),
                ("proxy_header", &refused.no_proxy_header),
            ]
            .map(|(reason, count)| ([("protocol", *name), ("reason", reason)], count.get()))
        });
        self.counters("connections_refused", "Connections that were not served, by reason", refused)?;
        let handshakes = all.iter().flat_map(|(name, traffic)| {
            [("good", &traffic.handshakes), ("failed", &traffic.failed_handshakes)]
                .map(|(result, count)| ([("protocol", *name), ("result", result)], count.get()))
        });
        self.counters("tls_handshakes", "TLS handshakes, by what came of them", handshakes)?;
        let replies = all.iter().flat_map(|(name, traffic)| {
            traffic.replies().map(|(class, count)| ([("protocol", *name), ("class", class)], count))
        });
        self.counters("replies", "Replies, greetings among them, by class", replies)?;
        let open = each(|traffic| traffic.open.get());
        self.gauges("connections_open", "Connections that are served now", open)?;
        let help = "From a question to its answer, but for what is held back on purpose";
        let mut metric = self.0.encode_descriptor("answer_seconds", help, None, MetricType::Histogram)?;
        for (name, traffic) in all {
            encode_latency(metric.encode_family(&[("protocol", *name)])?, &traffic.answers)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        counts: impl IntoIterator<Item = (impl EncodeLabelSet, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, count) in counts {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        counts: impl IntoIterator<Item = (impl EncodeLabelSet, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, count) in counts {
            metric.encode_family(&labels)?.encode_gauge(&count)?;
        }
        Ok(())
    }
}

fn encode_latency(mut metric: MetricEncoder<'_>, latency: &Latency) -> fmt::Result {
    let seconds = |bound: Option<Duration>| bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64());
    let buckets: Vec<_> = latency.counts().map(|(bound, count)| (seconds(bound), count)).collect();
    let count = buckets.iter().map(|(_, count)| count).sum();
    metric.encode_histogram::<NoLabelSet>(latency.sum().as_secs_f64(), count, &buckets, None)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_that_ask_nothing_are_given_up_for_those_that_ask() {
        let door = MetricsDoor::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = door.address;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.expect("there is room to wait"));
        }
        let mut asking = TcpStream::connect(address).await.expect("there is room to wait");
        asking.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.expect("sent");
        let (_stop, stopping) = watch::channel(false);
        tokio::spawn(door.serve(Arc::new(Meters::default()), None, stopping));
        let start = Instant::now();
        let mut answer = String::new();
        asking.read_to_string(&mut answer).await.expect("answered");
        assert!(answer.ends_with("# EOF\n"), "{answer}");
        assert_eq!(start.elapsed().as_secs(), EXCHANGE_TIMEOUT.as_secs());
        for mut stream in silent {
            assert_eq!(stream.read(&mut [0]).await.expect("closed in order"), 0);
        }
    }
}
