//! The barest browser: one connection that is kept open, and a cookie.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Browser {
    stream: TcpStream,
    pub cookie: String,
    buffer: Vec<u8>,
}

impl Browser {
    pub async fn open(address: SocketAddr, cookie: &str) -> anyhow::Result<Browser> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Browser { stream, cookie: cookie.to_owned(), buffer: Vec::with_capacity(256 << 10) })
    }

    pub async fn sign_in(address: SocketAddr, email: &str, password: &str) -> anyhow::Result<Browser> {
        let mut browser = Browser::open(address, "").await?;
        let form = format!("email={}&password={}", email.replace('@', "%40"), password.replace(' ', "+"));
        let head = browser.post("/sign-in", &form).await?;
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).context("nobody was signed in")?;
        browser.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(browser)
    }

    /// Fetches a page and returns its length; it must be there.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<usize> {
        self.say("GET", path, "").await?;
        let (head, length) = self.hear().await?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        Ok(length)
    }

    /// Presses a button and returns the head of the answer.
    pub async fn post(&mut self, path: &str, form: &str) -> anyhow::Result<String> {
        self.say("POST", path, form).await?;
        let (head, _) = self.hear().await?;
        ensure!(head.starts_with("HTTP/1.1 2") || head.starts_with("HTTP/1.1 3"), "{path}: {head}");
        Ok(head)
    }

    /// Begins a request whose answer does not end.
    pub async fn watch(mut self, path: &str) -> anyhow::Result<TcpStream> {
        self.say("GET", path, "").await?;
        Ok(self.stream)
    }

    async fn say(&mut self, method: &str, path: &str, form: &str) -> anyhow::Result<()> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\nCookie: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            self.cookie,
            form.len()
        );
        Ok(self.stream.write_all(request.as_bytes()).await?)
    }

    /// The head of an answer, in lower case but for its first line, and the length of its body.
    async fn hear(&mut self) -> anyhow::Result<(String, usize)> {
        self.buffer.clear();
        let body = loop {
            self.more().await?;
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..body]).into_owned();
        let of_line = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let mut tidy = head.lines().next().unwrap_or_default().to_owned();
        let (mut length, mut chunked) = (0, false);
        for (name, value) in head.lines().filter_map(of_line) {
            match &name[..] {
                "content-length" => length = value.parse()?,
                "transfer-encoding" => chunked = value == "chunked",
                _ => {}
            }
            tidy.push_str(&format!("\n{name}: {value}"));
        }
        if chunked {
            while !self.buffer[body..].ends_with(b"0\r\n\r\n") {
                self.more().await?;
            }
            length = self.buffer.len() - body;
        } else {
            while self.buffer.len() < body + length {
                self.more().await?;
            }
        }
        Ok((tidy, length))
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(())
    }
}

/// Requests a second over `n` connections kept open, for `time`, from a thread of its own.
pub async fn load(
    address: SocketAddr,
    cookie: &str,
    path: &'static str,
    n: usize,
    time: Duration,
) -> anyhow::Result<f64> {
    let cookie = cookie.to_owned();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let (served, began) = (AtomicU64::new(0), Instant::now());
            let one = async |served: &AtomicU64| {
                let mut browser = Browser::open(address, &cookie).await?;
                while began.elapsed() < time {
                    browser.get(path).await?;
                    served.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            };
            let all = (0..n).map(|_| one(&served));
            futures_util::future::try_join_all(all).await?;
            Ok(served.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
        })
    };
    tokio::task::spawn_blocking(work).await?
}
