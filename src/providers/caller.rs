//! Calls providers over HTTP/1.1.
//!
//! A connection is ready before the gate is asked, and the request is handed to it without a wait behind the answer:
//! what STOP has answered for cannot leave through a slow resolver or handshake. What went wrong before that is known not
//! to have left; what went wrong afterwards may have arrived. Redirects are not followed: they would carry credentials and
//! messages to somebody else. There is no retry here.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

use super::answer::{HttpAnswer, LONGEST};
use super::{Gate, Later, RejectClass, RetryScope, SendOutcome};
use crate::config::Network;

/// How long a connection may take, all addresses of a name together.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer may take; below what the engine waits for a send.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);
/// Shorter than servers keep an idle connection: one that is closed just then makes a send unknown.
const IDLE_FOR: Duration = Duration::from_secs(8);
/// Before a provider that could not be reached is asked again.
pub const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Connections that wait for the next send, for each place.
const IDLE_MOST: usize = 64;

/// Meta's own description of its API wants a name and a version.
const AGENT: &str = concat!("Bugle/", env!("CARGO_PKG_VERSION"));

/// A request, ready to leave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpAsk {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Bytes of its answer at most; `None`: those of an answer to a message.
    pub most: Option<usize>,
}

/// Why an answer is [lost](Unanswered::Lost) that is longer than it may be.
pub const TOO_LONG: &str = "the answer is longer than it may be";

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Unanswered {
    /// It cannot be asked at all: the address is none, or leads into our own network.
    Misset(String),
    /// Nothing left: no connection could be made.
    NotBegun(String),
    /// It left, and may have arrived.
    Lost(String),
}

impl Unanswered {
    /// What a send comes to that was not answered.
    pub fn outcome(self) -> SendOutcome {
        match self {
            Unanswered::Misset(code) => SendOutcome::Rejected { class: RejectClass::Misset, code },
            Unanswered::NotBegun(code) => {
                let (why, after) = (Later::NotNow, ASKED_AGAIN_AFTER);
                SendOutcome::RetryLater { why, after, scope: RetryScope::Channel, code }
            }
            Unanswered::Lost(code) => SendOutcome::Unknown { code },
        }
    }

    /// The same in words, for whoever only asked how things are.
    pub fn words(self) -> String {
        match self {
            Unanswered::Misset(what) | Unanswered::NotBegun(what) | Unanswered::Lost(what) => what,
        }
    }
}

/// One per process.
pub struct Caller {
    tls: TlsConnector,
    /// Networks of our own in which gateways may stand.
    internal: Vec<Network>,
    idle: Mutex<HashMap<Place, Vec<Idle>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    tls: bool,
    host: String,
    port: u16,
}

struct Idle {
    sender: Sender,
    since: Instant,
}

type Sender = SendRequest<Full<Bytes>>;

/// A connection on which nothing has been said yet.
pub enum Connected {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Caller {
    pub fn new(internal: Vec<Network>) -> Caller {
        let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        // Those that this machine believes as well, such as its owner's own.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows the versions of TLS that rustls does")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Caller { tls: TlsConnector::from(Arc::new(config)), internal, idle: Mutex::default() }
    }

    /// `None`: the gate was shut, and nothing left.
    pub async fn ask(&self, ask: &HttpAsk, gate: Gate<'_>) -> Option<Result<HttpAnswer, Unanswered>> {
        let (place, request) = match prepare(ask) {
            Ok(prepared) => prepared,
            Err(what) => return Some(Err(Unanswered::Misset(what))),
        };
        let mut request = request;
        loop {
            let waiting = self.take_idle(&place);
            let is_new = waiting.is_none();
            let mut sender = match waiting {
                Some(sender) => sender,
                None => match self.new_sender(&place).await {
                    Ok(sender) => sender,
                    Err(error) => return Some(Err(error)),
                },
            };
            if !gate() {
                // The next one finds it ready, however long it took to make.
                self.put_idle(place, sender);
                return None;
            }
            match timeout(ANSWER_WITHIN, sender.try_send_request(request)).await {
                Err(_) => return Some(Err(Unanswered::Lost("no answer in time".to_owned()))),
                Ok(Ok(answer)) => return Some(self.read(answer, place, sender, ask.most.unwrap_or(LONGEST)).await),
                Ok(Err(mut error)) => match error.take_message() {
                    // The other side had hung up: nothing of it left.
                    Some(unsent) if !is_new => request = unsent,
                    Some(_) => return Some(Err(Unanswered::NotBegun(format!("{}", error.error())))),
                    None => return Some(Err(Unanswered::Lost(format!("{}", error.error())))),
                },
            }
        }
    }

    /// Makes a connection to the host of an address, and asks it nothing. Returns the host's name.
    pub async fn reach(&self, url: &str) -> Result<String, Unanswered> {
        let ask = HttpAsk { method: "GET".to_owned(), url: url.to_owned(), ..HttpAsk::default() };
        let (place, _) = prepare(&ask).map_err(Unanswered::Misset)?;
        self.dial(&place.host, place.port, place.tls).await?;
        Ok(place.host)
    }

    async fn new_sender(&self, place: &Place) -> Result<Sender, Unanswered> {
        match self.dial(&place.host, place.port, place.tls).await? {
            Connected::Plain(stream) => shake_hands(stream).await,
            Connected::Tls(stream) => shake_hands(stream).await,
        }
    }

    async fn read(
        &self,
        answer: hyper::Response<hyper::body::Incoming>,
        place: Place,
        sender: Sender,
        most: usize,
    ) -> Result<HttpAnswer, Unanswered> {
        let (head, body) = answer.into_parts();
        let body = timeout(ANSWER_WITHIN, Limited::new(body, most).collect()).await;
        let body = match body {
            Ok(Ok(body)) => body.to_bytes().to_vec(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Unanswered::Lost(TOO_LONG.to_owned())),
            Ok(Err(error)) => return Err(Unanswered::Lost(format!("the answer broke off: {error}"))),
            Err(_) => return Err(Unanswered::Lost("the answer did not end".to_owned())),
        };
        let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        self.put_idle(place, sender);
        Ok(HttpAnswer { status: head.status.as_u16(), headers: head.headers.iter().map(header).collect(), body })
    }

    fn take_idle(&self, place: &Place) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap();
        let them = idle.get_mut(place)?;
        while let Some(it) = them.pop() {
            if it.since.elapsed() < IDLE_FOR && it.sender.is_ready() {
                return Some(it.sender);
            }
        }
        idle.remove(place);
        None
    }

    fn put_idle(&self, place: Place, sender: Sender) {
        let mut idle = self.idle.lock().unwrap();
        let them = idle.entry(place).or_default();
        them.retain(|it| it.since.elapsed() < IDLE_FOR && !it.sender.is_closed());
        if them.len() < IDLE_MOST && !sender.is_closed() {
            them.push(Idle { sender, since: Instant::now() });
        }
    }

    /// A connection to a host that may be called, in time.
    pub async fn dial(&self, host: &str, port: u16, tls: bool) -> Result<Connected, Unanswered> {
        let place = Place { tls, host: host.to_owned(), port };
        let connected = timeout(CONNECT_WITHIN, self.connect(&place)).await;
        connected.unwrap_or_else(|_| Err(Unanswered::NotBegun("no connection in time".to_owned())))
    }

    async fn connect(&self, place: &Place) -> Result<Connected, Unanswered> {
        let not_begun = |what: String| Unanswered::NotBegun(what);
        let host = place.host.trim_matches(['[', ']']);
        let found = lookup_host((host, place.port)).await;
        let found: Vec<SocketAddr> = found.map_err(|error| not_begun(format!("{host}: {error}")))?.collect();
        let allowed: Vec<SocketAddr> = found.iter().copied().filter(|it| self.is_allowed(it.ip())).collect();
        if let (true, Some(inside)) = (allowed.is_empty(), found.first()) {
            let ip = inside.ip();
            return Err(Unanswered::Misset(format!(
                "{host} is {ip}, inside our own network. If a gateway stands there, allow it with --internal-gateways"
            )));
        }
        let mut error = not_begun(format!("{host} has no address"));
        for address in allowed {
            let stream = match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(why) => {
                    error = not_begun(format!("{address}: {why}"));
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            if !place.tls {
                return Ok(Connected::Plain(stream));
            }
            let name = ServerName::try_from(host.to_owned()).map_err(|error| Unanswered::Misset(error.to_string()))?;
            match self.tls.connect(name, stream).await {
                Ok(stream) => return Ok(Connected::Tls(Box::new(stream))),
                Err(why) => error = not_begun(format!("{host}: {why}")),
            }
        }
        Err(error)
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !is_inside(address) || self.internal.iter().any(|network| network.holds(address))
    }
}

async fn shake_hands<S>(stream: S) -> Result<Sender, Unanswered>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| Unanswered::NotBegun(error.to_string()))?;
    tokio::spawn(async move {
        // What is wrong with it is told to whoever sends through it.
        let _ = connection.await;
    });
    sender.ready().await.map_err(|error| Unanswered::NotBegun(error.to_string()))?;
    Ok(sender)
}

fn prepare(ask: &HttpAsk) -> Result<(Place, Request<Full<Bytes>>), String> {
    let url = Url::parse(&ask.url).map_err(|error| format!("the address is none: {error}"))?;
    let tls = match url.scheme() {
        "http" => false,
        "https" => true,
        other => return Err(format!("the address begins with {other}, and not with http or https")),
    };
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(it)) => it.to_string(),
        Some(Host::Ipv6(it)) => format!("[{it}]"),
        None => return Err("the address names no host".to_owned()),
    };
    let port = url.port_or_known_default().ok_or("the address names no port")?;
    let named = if url.port().is_some() { format!("{host}:{port}") } else { host.clone() };
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut request = Request::builder().method(ask.method.as_str()).uri(path);
    let own = |name: &str| ask.headers.iter().any(|(it, _)| it.eq_ignore_ascii_case(name));
    for (name, value) in [("host", named.as_str()), ("user-agent", AGENT), ("accept-encoding", "gzip")] {
        if !own(name) {
            request = request.header(name, value);
        }
    }
    for (name, value) in &ask.headers {
        request = request.header(name.as_str(), value.as_str());
    }
    let request = request.body(Full::new(Bytes::from(ask.body.clone())));
    let request = request.map_err(|error| format!("the request cannot be made: {error}"))?;
    Ok((Place { tls, host, port }, request))
}

/// Whether an address leads to this machine or into a network that is not everybody's.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => {
            let [a, b, c, _] = it.octets();
            it.is_loopback()
                || it.is_private()
                || it.is_link_local()
                || it.is_multicast()
                || it.is_broadcast()
                || a == 0
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (b == 18 || b == 19))
                || a >= 240
        }
        IpAddr::V6(it) => {
            it.is_loopback()
                || it.is_unspecified()
                || it.is_multicast()
                || it.is_unique_local()
                || it.is_unicast_link_local()
                // Networks that translate to IPv4 ones behind them.
                || it.segments().starts_with(&[0x64, 0xff9b])
                || it.segments().starts_with(&[0x2002])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers each connection with these, one for each request, and hangs up.
    async fn server(answers: &'static [&'static str]) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, n) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let seen = n.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    for answer in answers {
                        match stream.read(&mut buffer).await {
                            Ok(0) | Err(_) => return,
                            Ok(_) => seen.fetch_add(1, Ordering::SeqCst),
                        };
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        (format!("http://{address}/send?a=1"), n)
    }

    fn here() -> Caller {
        Caller::new(vec!["127.0.0.0/8".parse().unwrap()])
    }

    fn get(url: &str) -> HttpAsk {
        HttpAsk { method: "GET".into(), url: url.into(), ..HttpAsk::default() }
    }

    const OK: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok";

    #[tokio::test]
    async fn an_answer_comes_back_whole_and_a_connection_serves_again() {
        let (url, seen) = server(&[OK, OK]).await;
        let caller = here();
        for _ in 0..3 {
            let answer = caller.ask(&get(&url), &|| true).await.unwrap().unwrap();
            assert_eq!((answer.status, answer.text().as_deref()), (202, Some("ok")));
        }
        assert_eq!(seen.load(Ordering::SeqCst), 3, "the third found the first connection closed and made another");
    }

    #[tokio::test]
    async fn behind_a_shut_gate_nothing_leaves_and_what_broke_off_may_have_arrived() {
        let (url, seen) = server(&["HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"id\":"]).await;
        let caller = here();
        assert_eq!(caller.ask(&get(&url), &|| false).await, None);
        assert_eq!(seen.load(Ordering::SeqCst), 0);
        let waits = || caller.idle.lock().unwrap().values().map(Vec::len).sum::<usize>();
        assert_eq!(waits(), 1, "the connection is there for the next");
        assert!(matches!(caller.ask(&get(&url), &|| true).await, Some(Err(Unanswered::Lost(_)))));
        let (url, _) =
            server(&["HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"]).await;
        assert_eq!(caller.ask(&get(&url), &|| true).await.unwrap().unwrap().status, 302, "and is not followed");
    }

    #[tokio::test]
    async fn what_cannot_be_reached_or_may_not_be_is_known_not_to_have_left() {
        let gone = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
        let ask = |caller: Caller, url: String| async move { caller.ask(&get(&url), &|| true).await.unwrap() };
        assert!(matches!(ask(here(), format!("http://{gone}/")).await, Err(Unanswered::NotBegun(_))));
        let inside = ask(Caller::new(Vec::new()), format!("http://{gone}/")).await;
        assert!(matches!(inside, Err(Unanswered::Misset(what)) if what.contains("--internal-gateways")));
        for url in ["ftp://a.example/", "a.example", "http://", "http://169.254.169.254/latest", "http://[::1]/"] {
            let refused = ask(Caller::new(Vec::new()), url.to_owned()).await;
            assert!(matches!(refused, Err(Unanswered::Misset(_))), "{url}");
        }
    }

    #[test]
    fn our_own_networks_are_known() {
        let inside = |address: &str| is_inside(address.parse::<IpAddr>().unwrap().to_canonical());
        for it in ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"] {
            assert!(inside(it), "{it}");
        }
        for it in ["::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::"] {
            assert!(inside(it), "{it}");
        }
        for it in ["8.8.8.8", "192.0.1.1", "100.128.0.1", "2606:4700::1111"] {
            assert!(!inside(it), "{it}");
        }
    }
}
